"""Tables, figures and pages, made from the records of experiments; computes nothing."""
