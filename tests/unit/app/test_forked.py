"""Children that are forked: what they have of their parent, what they have not, and their end. Each
test is a program of its own, because this one has threads."""

import os
import subprocess
import sys
from pathlib import Path

LIMIT_S = 30.0
HEAD = """
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from app.forked import Forked, show_as
from app.supervisor import Child, Supervisor

def told(main):
    "What a child says to its stderr, and its status."
    saved, (read, write) = os.dup(2), os.pipe()
    os.dup2(write, 2)
    os.close(write)
    child = Forked(main)
    os.dup2(saved, 2)
    said = b""
    while more := os.read(read, 4096):
        said += more
    return said.decode(), child.wait()

def say(text):
    os.write(2, text.encode())
"""


def run(body: str, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body, *argv],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_calls_main_and_ends_with_it() -> None:
    said = run("""
try:
    print(told(lambda: say("here")))
finally:
    print("the parent alone does this")
""")
    assert said == "('here', 0)\nthe parent alone does this\n"


def test_its_status_is_its_own() -> None:
    said = run("""
def fails():
    raise ValueError("so it says")
print(told(lambda: sys.exit(3))[1], told(lambda: sys.exit("why"))[1], told(lambda: sys.exit())[1])
said, status = told(fails)
print("ValueError: so it says" in said, status)
print(told(lambda: os.kill(os.getpid(), signal.SIGKILL))[1])
""")
    assert said == "3 1 0\nTrue 1\n-9\n"


def test_whatever_it_raises_it_does_not_go_on_as_its_parent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(
        """
def main():
    sys.stdout = open(os.dup(1), "w")
    print("nobody hears it, and that is an error at the end")
    os.close(sys.stdout.fileno())
try:
    Forked(main).wait()
finally:
    Path(sys.argv[1]).open("a").write("the parent alone\\n")
""",
        str(log),
    )
    assert log.read_text() == "the parent alone\n"


def test_what_its_parent_has_not_said_yet_is_said_once() -> None:
    said = run("""
print("once")  # to a pipe: it waits in the buffer
Forked(lambda: print("the child")).wait()
""")
    assert said == "once\nthe child\n"


def test_it_has_none_of_its_parents_files_and_handlers() -> None:
    said = run("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = open(os.devnull)
print(told(lambda: say(" ".join(sorted(os.listdir("/proc/self/fd")))))[0])
print(told(lambda: os.kill(os.getpid(), signal.SIGTERM))[1])
""")
    assert said == "0 1 2 3\n-15\n"  # 3 is the folder that is listed


def test_it_is_waited_for_so_long() -> None:
    said = run("""
child = Forked(lambda: time.sleep(600))
print(child.poll())
try:
    child.wait(timeout=0.01)
except subprocess.TimeoutExpired:
    print("lives")
child.send_signal(signal.SIGTERM)
print(child.wait(timeout=20), child.poll())
child.kill()
print("its number may be another's now")
""")
    assert said == "None\nlives\n-15 -15\nits number may be another's now\n"


def test_it_shows_as_it_is_told_and_keeps_its_environment() -> None:
    said = run(
        """
def shown():
    environment = Path("/proc/self/environ").read_bytes()
    show_as(sys.argv[1])
    say(Path("/proc/self/cmdline").read_text().rstrip("\\0"))
    assert Path("/proc/self/environ").read_bytes() == environment
print(told(shown))
before = Path("/proc/self/cmdline").read_text()
sys.argv[1] *= 10_000
print(len(told(shown)[0]) == len(before) - 2, Path("/proc/self/cmdline").read_text() == before)
""",
        "vmclone worker",
    )
    assert said == "('vmclone worker', 0)\nTrue True\n"


def test_a_child_is_forked_first_and_executed_later(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = run(
        r'''
log = Path(sys.argv[1])
log.touch()
imported = "imported"
def say_it(text):
    with log.open("a") as stream:
        stream.write(text + "\n")
    threading.Event().wait()
def main():
    say_it(f"forked with what is {imported}, {os.environ['MORE']}")
program = r"""
import os, sys, threading
open(sys.argv[1], "a").write(f"executed, {os.environ['MORE']}\n")
threading.Event().wait()"""
executed = [sys.executable, "-c", program, str(log)]
child = Child("one", executed, env={"MORE": "told more"}, main=main)
supervisor = Supervisor([], grace_s=10)
supervisor.add(child)
deaths = 0
def tick():
    global deaths
    if len(log.read_text().splitlines()) == deaths + 1:
        deaths += 1
        if deaths == 2:
            supervisor.request_stop()
        else:
            child.process.kill()
supervisor.run(tick=tick, tick_s=0.01)
print("MORE" in os.environ)
''',
        str(log),
    )
    assert said == "False\n"
    assert log.read_text().splitlines() == [
        "forked with what is imported, told more",
        "executed, told more",
    ]
