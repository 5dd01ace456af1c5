"""The command line: what it prints, and what it exits with."""

import subprocess
import sys

import pytest

from brain2music.cli import main


def test_the_command_is_installed():
    for command in (["brain2music"], [sys.executable, "-m", "brain2music"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("brain2music 0.")


@pytest.mark.parametrize("command", ["simulate"])
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"Example: brain2music {command}" in text
    assert all(option in text for option in ("--device", "--seed", "--quiet"))


@pytest.mark.parametrize("arguments", [[], ["simulat"], ["simulate"], ["simulate", "x", "--runs", "12"]])
def test_bad_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: brain2music" in capsys.readouterr().err


def test_a_failed_run_exits_with_1_and_one_sentence(tmp_path, capsys):
    (tmp_path / "mine").write_text("text")
    assert main(["simulate", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("brain2music: [simulation.simulate] the folder must be empty or not there; got")
    assert error.count("\n") == 1
