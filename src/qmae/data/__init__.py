"""Images and masks: loading, checking, scaling, splitting."""
