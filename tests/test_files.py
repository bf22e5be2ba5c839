"""Files: whole or not at all, durable, and every refusal of the system in one line."""

import json
import os
import resource
import stat
import subprocess
import sys

import pytest

from qmae._files import check_free, new_file, new_folder, read_bytes, read_json, read_text, resolve, write_atomically
from qmae.errors import InputError
from qmae.training.locks import locked

LEFTOVERS = (".config.json.partial", ".checkpoint.pt.partial", ".writable", ".qmae-lock", ".0123456789abcdef.partial")

HELPERS = {
    "check_free": check_free,
    "new_file": new_file,
    "new_folder": new_folder,
    "write_atomically": lambda path: write_atomically(path, "x"),
    "read_bytes": read_bytes,
    "read_text": read_text,
    "read_json": read_json,
}


def bad_paths(folder):
    (folder / "file").write_text("mine")
    (folder / "loop").symlink_to(folder / "loop")
    return {
        "too long": folder / ("n" * 300),
        "too long in the middle": folder / ("n" * 300) / "x",
        "below a file": folder / "file" / "x",
        "a loop": folder / "loop" / "x",
        "a null character": folder / "nu\0ll",
        "not to be encoded": folder / "\udc80\ud800",
    }


@pytest.mark.parametrize("helper", HELPERS)
def test_what_the_system_refuses_is_one_line(tmp_path, helper):
    for path in bad_paths(tmp_path).values():
        with pytest.raises(InputError):
            HELPERS[helper](path)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root passes permissions")
@pytest.mark.parametrize("helper", HELPERS)
def test_denied_permission_is_one_line(tmp_path, helper):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            HELPERS[helper](folder / "x")
    finally:
        folder.chmod(0o700)


def test_a_path_is_resolved_or_refused(tmp_path):
    assert resolve(f"{tmp_path}/a/../b") == tmp_path.resolve() / "b"
    with pytest.raises(InputError, match="null"):
        resolve("a\0b")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_neither_read_nor_replaced(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    before = os.stat(path)
    with pytest.raises(InputError, match=r"no regular file|directory"):
        read_bytes(path)
    with pytest.raises(InputError, match="no regular file"):
        write_atomically(path, "x")
    with pytest.raises(InputError, match="is taken"):
        new_file(path)
    assert os.path.samestat(before, os.stat(path))


def test_files_larger_than_the_limit_are_not_read(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match=r"1,099,511,627,776 bytes, more than 100"):
        read_text(tmp_path / "sparse", limit=100)


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"a": 1, "a": 2}', "\ufeff{}", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", "", "{", "\x00"]
)
def test_settings_that_are_no_json_object_are_one_line(tmp_path, content):
    (tmp_path / "x").write_text(content)
    with pytest.raises(InputError) as refused:
        read_json(tmp_path / "x")
    assert len(str(refused.value)) < 400


def test_settings_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "x").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_json(tmp_path / "x")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_any_other(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "ours", "x")
        (tmp_path / "any").write_text("x")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "any")}
    assert modes == {0o666 & ~mask}


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in LEFTOVERS:
        (tmp_path / name).symlink_to(victim)
    write_atomically(tmp_path / "checkpoint.pt", "theirs")
    assert victim.read_text() == "mine"
    with pytest.raises(InputError), locked(tmp_path):
        pass
    assert victim.read_text() == "mine"


def test_names_of_partial_files_cannot_be_foretold(tmp_path):
    script = """
import sys, pathlib
from qmae._files import write_atomically
names = []
sys.addaudithook(lambda event, arguments: names.append(arguments[0]) if event == "os.rename" else None)
for _ in range(20):
    write_atomically(pathlib.Path(sys.argv[1]), "x")
assert len(set(map(str, names))) == 20
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "x"], check=True)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    script = """
import sys, pathlib
from qmae._files import write_atomically
for _ in range(300):
    write_atomically(pathlib.Path(sys.argv[1]), sys.argv[2] * 10_000)
"""
    writers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "x", letter]) for letter in "abc"]
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "x").exists():
            text = (tmp_path / "x").read_text()
            assert text == text[0] * 10_000
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["x"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    """The system refuses to write more than so many bytes, as a full disk does."""
    write_atomically(tmp_path / "x", "old")
    script = f"""
import pathlib, resource, sys
from qmae.errors import InputError
from qmae._files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
try:
    write_atomically(pathlib.Path(sys.argv[1]), "n" * 100_000)
except InputError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", script, tmp_path / "x"], text=True)
    assert said.startswith(f"cannot write {tmp_path / 'x'} (File too large)")
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_files_and_folders_are_synced_before_and_after_the_rename(tmp_path):
    """What the interpreter asks of the system, in its order: the content is durable before the name is, then both."""
    tracer = """
import os, sys, pathlib
calls, sync = [], os.fsync
sys.addaudithook(lambda event, arguments: calls.append("rename") if event == "os.rename" else None)
sys.setprofile(
    lambda frame, event, called: calls.append("sync") if event == "c_call" and called is sync else None
)
from qmae._files import write_atomically
write_atomically(pathlib.Path(sys.argv[1]), "x")
sys.setprofile(None)
print(*calls)
"""
    assert subprocess.check_output([sys.executable, "-c", tracer, tmp_path / "x"], text=True) == "sync rename sync\n"


def test_leftovers_of_a_kill_block_no_folder(tmp_path):
    out = tmp_path / "out"
    (out / "runs" / "first").mkdir(parents=True)
    for folder in (out, out / "runs" / "first"):
        for name in LEFTOVERS:
            (folder / name).write_text("")
    assert new_folder(out) == out
    with locked(out):
        assert set(os.listdir(out)) == {"runs", ".qmae-lock"}
    (out / "runs" / "first" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is taken"):
        new_folder(out)


@pytest.mark.parametrize("name", [".notes.partial", "config.json", ".writable.txt", "x.partial"])
def test_files_of_others_are_no_leftovers(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is taken"):
        check_free(tmp_path)
    with locked(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_new_file_leaves_alone_what_lies_there(tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "folder").mkdir()
    for name in ("empty", "nowhere", "folder"):
        with pytest.raises(InputError, match="is taken"):
            new_file(tmp_path / name)
    new_file(tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["empty", "folder", "nowhere"]


HOLD = """
import pathlib, sys, time
from qmae.training.locks import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_keeps_others_out_and_ends_with_its_holder(tmp_path):
    folder = tmp_path / "work"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="by another process"), locked(folder):
        pass
    assert folder.is_dir()
    holder.kill()
    holder.communicate()
    with locked(folder):
        (folder / "result").write_text("mine")
    assert os.listdir(folder) == ["result"]


def test_many_processes_that_want_one_folder_get_it_one_at_a_time(tmp_path):
    script = """
import pathlib, sys
from qmae.errors import InputError
from qmae.training.locks import locked
folder, done = pathlib.Path(sys.argv[1]), 0
while done < 50:
    try:
        with locked(folder):
            count = int((folder.parent / "count").read_text())
            (folder.parent / "count").write_text(str(count + 1))
            done += 1
    except InputError as error:
        assert "another process" in str(error), error
"""
    (tmp_path / "count").write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "work"]) for _ in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "150"
    assert not (tmp_path / "work").exists()


def test_a_lock_in_a_place_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "x", tmp_path / ("n" * 300), tmp_path / "a\0b"):
        with pytest.raises(InputError, match="cannot write to"), locked(path):
            pass
    assert json.dumps(sorted(os.listdir(tmp_path))) == '["file"]'
