"""Killed at any moment, a command leaves the old file or the new one; the next start finishes."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

import forked
from dnsity.errors import BadInputError, DamagedFileError
from dnsity.inference import gist_file
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.gist_model import GistModel
from dnsity.model import checkpoint
from running import Done
from support import flat
from tiny import CARD, DOCUMENT, LONG_DOCUMENT, QUESTIONS, tiny_gist_model
from tried import Tried

PROMISE = "the write"
KILL, INTERRUPT = signal.SIGKILL, signal.SIGINT


@pytest.fixture
def lasts(tmp_path: Path) -> Callable[..., float]:
    """Run a command undisturbed and say how many seconds it took."""

    def run(*arguments: object) -> float:
        forked.start(tmp_path, "doctor").wait()  # the server may have to start
        started = time.monotonic()
        done = forked.start(tmp_path, *arguments).wait()
        assert done.code == 0, done
        return time.monotonic() - started

    return run


def _left_behind(folder: Path) -> list[str]:
    """List hidden temporary files that a kill left: complete or not, nobody reads them."""
    return [path.name for path in folder.rglob(".*.tmp")]


# compress


def _compressing(folder: Path, model_directory: Path) -> tuple[tuple[object, ...], Path]:
    """Write a text; return the command that compresses it, and where the gist goes."""
    text, target = folder / "a.txt", folder / "there" / "a.gist.safetensors"
    target.parent.mkdir()
    text.write_text(LONG_DOCUMENT)
    return ("compress", text, "-o", target, "-m", model_directory), target


def test_a_killed_compress_leaves_the_old_gist_or_the_new_one(
    tried: Tried, lasts: Callable[..., float], model_directory: Path, tmp_path: Path
) -> None:
    command, target = _compressing(tmp_path, model_directory)
    seconds = lasts(*command)
    new = target.read_bytes()
    old = GistModel.from_pretrained(model_directory).compress(DOCUMENT).save(target).read_bytes()
    assert old != new
    rng, found = random.Random(0), set()
    for _ in tried.times(short=6, long=80):
        target.write_bytes(old)
        forked.start(tmp_path, *command).signal(KILL, rng.uniform(0, 1.1 * seconds))
        found.add(target.read_bytes())
        assert found <= {old, new}
        assert set(os.listdir(target.parent)) == {target.name, *_left_behind(target.parent)}
        assert forked.start(tmp_path, *command).wait().code == 0
        assert target.read_bytes() == new
    assert old in found  # kills did hit before the end


def test_no_moment_of_a_write_tears_a_file(tried: Tried, tmp_path: Path, model: GistModel) -> None:
    """A process that does nothing but save, killed at random: most kills hit a write."""
    target = tmp_path / "a.gist.safetensors"
    gists = [model.compress(text) for text in (DOCUMENT, LONG_DOCUMENT)]
    whole = []
    for number, gist in enumerate(gists):
        gist.save(tmp_path / f"{number}.gist.safetensors")
        whole.append((tmp_path / f"{number}.gist.safetensors").read_bytes())
    rng = random.Random(1)
    target.write_bytes(whole[0])
    for _ in tried.times(short=10, long=100):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    for gist in gists:
                        gist.save(target)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(child, KILL)
        assert os.waitpid(child, 0)[1] == KILL
        assert target.read_bytes() in whole
        GistCache.load(target)


# Folders


def test_a_killed_batch_goes_on_where_it_was(
    tried: Tried, lasts: Callable[..., float], model_directory: Path, tmp_path: Path
) -> None:
    texts, folder = tmp_path / "texts", tmp_path / "store"
    texts.mkdir()
    for number in range(40):
        (texts / f"{number}.txt").write_text(f"{DOCUMENT} {number}. " * (1 + number % 3))
    command = ("compress", texts, "-o", folder, "-m", model_directory, "--json")
    seconds = lasts(*command)
    whole = {path.name: GistCache.load(path) for path in folder.iterdir()}
    assert len(whole) == 40
    rng, partly = random.Random(2), 0
    for _ in tried.times(short=4, long=50):
        shutil.rmtree(folder)
        forked.start(tmp_path, *command).signal(KILL, rng.uniform(0.2, 1.05) * seconds)
        made = [p for p in folder.rglob("*.gist.safetensors") if not p.name.startswith(".")]
        for path in made:
            _assert_same(GistCache.load(path), whole[path.name])
        again = forked.start(tmp_path, *command).wait().json
        partly += 0 < again["kept"] < 40
        # At most one gist was written but not yet marked as done.
        assert len(made) - 1 <= again["kept"] <= len(made)
        assert again["kept"] + again["compressed"] == 40
        for name, gist in whole.items():
            _assert_same(GistCache.load(folder / name), gist)
    assert partly or not tried.long  # kills did hit in between


def _assert_same(one: GistCache, other: GistCache) -> None:
    """Another batch is another order of summation, and nothing else."""
    assert one.info == other.info
    pairs = zip(flat(one.layers), flat(other.layers), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-4


PARENT = """
import sys, time
from dnsity.io.workers import parallel_map
def started(path):
    open(path, "a").close()
if __name__ == "__main__":
    waits = [600, 600]
    list(parallel_map(time.sleep, waits, workers=2, initializer=started, initargs=(sys.argv[1],)))
"""


def test_workers_end_with_their_killed_parent(tried: Tried, tmp_path: Path) -> None:
    """As in `dnsity compress FOLDER --jobs 2`: nobody is left to tell them."""
    (tmp_path / "parent.py").write_text(PARENT)
    for number in tried.times(short=1, long=5):
        started = tmp_path / str(number)
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "parent.py"), str(started)], start_new_session=True
        )
        _until(started.exists, "a worker")
        assert len(_session(process.pid)) > 1
        process.kill()
        process.wait()
        _until(lambda: not _session(process.pid), "the workers' end")  # noqa: B023


def _session(leader: int) -> list[int]:
    """List the processes of a session that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        if int(after_name[3]) == leader and after_name[0] != "Z":
            found.append(int(path.parent.name))
    return found


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited a minute for {what}"
        time.sleep(0.05)


def test_what_was_compressed_otherwise_or_from_another_text_is_not_kept(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path
) -> None:
    texts, folder = tmp_path / "texts", tmp_path / "store"
    texts.mkdir()
    text, older = texts / "a.txt", tmp_path / "older.txt"
    older.write_text(LONG_DOCUMENT)
    text.write_text(DOCUMENT)
    command = ("compress", texts, "-o", folder, "-m", model_directory, "--json")

    def made(*more: object) -> int:
        tried()
        count: int = dnsity(*command, *more).json["compressed"]
        return count

    assert (made(), made()) == (1, 0)
    assert (made("--gists", 2), made("--gists", 2), made(), made()) == (1, 0, 1, 0)
    os.utime(older, (1, 1))
    os.replace(older, text)  # an older text takes the place of the one that was compressed
    assert (made(), made()) == (1, 0)
    assert GistCache.load(folder / "a.txt.gist.safetensors").info.characters == len(LONG_DOCUMENT)


def test_a_text_changed_while_it_is_compressed_is_done_again(
    tried: Tried, model: GistModel, tmp_path: Path
) -> None:
    from dnsity.inference import files
    from dnsity.inference.methods import Gist

    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("a.txt", "b.txt"):
        (texts / name).write_text(DOCUMENT)
    todo = files.survey(texts, tmp_path / "store")[0]
    outcomes = files.compress_files(model.loaded, todo, method=Gist())
    next(outcomes)  # both texts are read, one gist is written
    todo[1].source.write_text(LONG_DOCUMENT)
    list(outcomes)
    reasons = [files.reason_to_compress(model.loaded, job, Gist()) for job in todo]
    assert reasons[0] == ""
    assert "text has changed" in reasons[1]
    tried()


# eval


def test_a_killed_evaluation_goes_on_and_asks_nothing_twice(
    tried: Tried, lasts: Callable[..., float], model_directory: Path, tmp_path: Path
) -> None:
    def command(run: Path) -> tuple[object, ...]:
        return (
            "eval", "--task", "niah_en", "--limit", 8, "--set",
            "tasks=[{family: niah, language: en, tokens: [200, 300]}]",
            "--method", "gist,none", "-m", model_directory, "--output-dir", run,
        )  # fmt: skip

    seconds = lasts(*command(tmp_path / "whole"))
    whole = [_without_costs(x) for x in _records(tmp_path / "whole")]
    assert len(whole) == 16
    rng = random.Random(3)
    for number in tried.times(short=2, long=40):
        run = tmp_path / f"run{number}"
        forked.start(tmp_path, *command(run)).signal(KILL, rng.uniform(0.1, 1.05) * seconds)
        before = [x for x in _records(run) if x.endswith("\n")]
        done = forked.start(tmp_path, *command(run)).wait()
        assert done.code == 0, done
        after = _records(run)
        assert after[: len(before)] == before  # times and all: these were not asked again
        assert [_without_costs(x) for x in after] == whole
        assert json.loads((run / "summary.json").read_text("utf-8"))["rows"]
        shutil.rmtree(run)


def _records(run: Path) -> list[str]:
    path = run / "records.jsonl"
    return path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []


def _without_costs(line: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(line)
    answers = [
        {k: v for k, v in a.items() if k not in ("ttft_s", "seconds")} for a in record["answers"]
    ]
    return {**record, "answers": answers, "ingest_s": 0, "peak_bytes": 0}


# train


@pytest.fixture
def recipe(tmp_path: Path, model_directory: Path) -> Path:
    """The configuration of a very short run."""
    rng = random.Random("en")
    words = "the harbour is quiet and old boats rest near a long grey wall of stone".split()
    corpus = tmp_path / "en.jsonl"
    with corpus.open("w") as lines:
        for number in range(12):
            text = " ".join(" ".join(rng.choices(words, k=8)).capitalize() + "." for _ in range(40))
            lines.write(json.dumps({"id": str(number), "title": "x", "text": text}) + "\n")
    values = {
        "base": str(model_directory / "base"),
        "gist": {"gists": 4, "window_tokens": 96, "scope": "full"},
        "data": {"corpus": {"en": [str(corpus)]}, "corpus_characters": 20_000},
        "stages": [{"tokens": [32]}],
        "training": {
            "steps": 12, "tokens_per_step": 64, "learning_rate": 3e-3, "warmup_steps": 1,
            "bf16": False, "save_steps": 2, "log_steps": 1,
        },
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_killed_training_goes_on_to_the_same_weights(
    tried: Tried, lasts: Callable[..., float], recipe: Path, tmp_path: Path
) -> None:
    def command(run: Path) -> tuple[object, ...]:
        return ("train", "--config", recipe, "--output-dir", run, "--resume")

    seconds = lasts(*command(tmp_path / "whole"))
    whole = _weights(tmp_path / "whole")
    rng, run = random.Random(4), tmp_path / "run"
    for number in tried.times(short=2, long=40):
        forked.start(tmp_path, *command(run)).signal(KILL, rng.uniform(0.1, 1.05) * seconds)
        if (run / "model" / checkpoint.CONFIG_FILE).exists():
            GistModel.from_pretrained(run / "model")  # what says it is a model is one
        if number % 4 == 3 or number == 1:
            done = forked.start(tmp_path, *command(run)).wait()
            assert done.code == 0, done
            found = _weights(run)
            assert all(torch.equal(found[name], whole[name]) for name in whole)
            shutil.rmtree(run)


def _weights(run: Path) -> dict[str, torch.Tensor]:
    files = (run / "model" / "base" / "model.safetensors", run / "model" / checkpoint.ROWS_FILE)
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def test_half_a_model_over_an_older_one_is_no_model(
    tried: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at any file: either refused, or whole."""
    directory = tmp_path / "model"
    one, other = tiny_gist_model(seed=0), tiny_gist_model(seed=1)

    def save(model: GistModel) -> None:
        loaded = model.loaded
        checkpoint.save(loaded.lm, loaded.tokenizer, directory, base_name="x", card=CARD)

    for name in ("save_file", "write_json"):
        save(one)

        def stop(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint, name, stop)
        with pytest.raises(KeyboardInterrupt):
            save(other)
        monkeypatch.undo()
        with pytest.raises(BadInputError, match="is not a dnsity model"):
            GistModel.from_pretrained(directory)
        tried()
    save(other)
    again = GistModel.from_pretrained(directory)
    assert again.loaded.fingerprints == other.loaded.fingerprints


# Where nothing can be written


def test_a_disk_that_fills_up_leaves_the_old_gist(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path
) -> None:
    """The system itself refuses to write on, after any number of bytes."""
    command, target = _compressing(tmp_path, model_directory)
    assert dnsity(*command).code == 0
    size = target.stat().st_size
    old = GistModel.from_pretrained(model_directory).compress(DOCUMENT).save(target).read_bytes()
    rng = random.Random(5)
    for _ in tried.times(short=3, long=40):
        limit = {
            resource.RLIMIT_FSIZE: rng.randrange(1_000, size)
        }  # the error has to be written, too
        done = dnsity(*command, limits=limit)
        assert done.code == 2, done
        assert f"{os.strerror(errno.EFBIG)}; choose another place with -o" in done.err
        assert target.read_bytes() == old
        assert os.listdir(target.parent) == [target.name]


def test_a_batch_on_a_disk_that_fills_up_names_every_file(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(3):
        (texts / f"{number}.txt").write_text(DOCUMENT)
    command = ("compress", texts, "-o", tmp_path / "store", "-m", model_directory)
    done = dnsity(*command, limits={resource.RLIMIT_FSIZE: 1000})
    assert done.code == 2
    assert done.err.count("skipped: cannot write") == 3
    assert not any(path.is_file() for path in (tmp_path / "store").rglob("*"))
    assert dnsity(*command).code == 0
    tried(3)


def test_a_target_nobody_can_write_to_is_named(
    tried: Tried, dnsity: Callable[..., Done], model_directory: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts").mkdir()
    text = tmp_path / "texts" / "a.txt"
    text.write_text(DOCUMENT)
    targets = ["/proc/a.gist.safetensors", "/dev/null", "/sys/a.gist.safetensors"]
    if os.getuid():  # nothing is forbidden to root
        (tmp_path / "locked").mkdir(mode=0o500)
        targets.append(str(tmp_path / "locked" / "a.gist.safetensors"))
    for target in targets:
        done = dnsity("compress", text, "-o", target, "-m", model_directory)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert target in done.err or os.path.dirname(target) in done.err
        tried()
    done = dnsity("compress", text.parent, "-o", "/proc/store", "-m", model_directory)
    assert done.code == 2
    tried()


# Writers and readers


def test_two_writers_and_many_readers_of_one_name(tried: Tried, tmp_path: Path) -> None:
    model, path = tiny_gist_model(), tmp_path / "a.gist.safetensors"
    gists = [model.compress(text) for text in (DOCUMENT, LONG_DOCUMENT)]
    gists[0].save(path)
    infos, over = [gist.info for gist in gists], Event()
    read: list[int] = []

    def write(gist: GistCache) -> None:
        while not over.is_set():
            gist.save(path)

    def look() -> None:
        count = 0
        while not over.is_set():
            loaded = gist_file.load(path)
            assert all(map(torch.equal, flat(loaded.layers),
                           flat(gists[infos.index(loaded.info)].layers)))  # fmt: skip
            count += 1
        read.append(count)

    threads = [Thread(target=write, args=(gist,)) for gist in gists]
    threads += [Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(20 if tried.long else 1)
    over.set()
    for thread in threads:
        thread.join()
    assert len(read) == 6  # no reader met anything but one gist or the other
    tried(sum(read))
    assert os.listdir(tmp_path) == [path.name]


# Ctrl-C


def test_stopping_by_hand_at_any_moment_is_clean(
    tried: Tried, lasts: Callable[..., float], model_directory: Path, tmp_path: Path
) -> None:
    text, target = tmp_path / "a.txt", tmp_path / "there" / "a.gist.safetensors"
    target.parent.mkdir()
    text.write_text(LONG_DOCUMENT * 2)
    command = ("compress", text, "-o", target, "-m", model_directory)
    seconds = lasts(*command)
    new = target.read_bytes()
    rng, codes = random.Random(6), set()
    for _ in tried.times(short=5, long=80):
        target.unlink(missing_ok=True)
        # From a tenth on: before that the process is not yet the command.
        done = forked.start(tmp_path, *command).signal(INTERRUPT, rng.uniform(0.1, 1.05) * seconds)
        codes.add(done.code)
        assert done.code in (0, 130), done
        assert done.err in ("", "stopped\n")
        assert not target.exists() or target.read_bytes() == new
        assert _left_behind(target.parent) == []
    assert 130 in codes


def test_a_real_process_stopped_by_hand_ends_as_a_shell_expects(
    tried: Tried, model_directory: Path, tmp_path: Path
) -> None:
    """While it imports as well: then Python itself ends by the signal, which is 130 to a shell."""
    gist = tmp_path / "a.gist.safetensors"
    GistModel.from_pretrained(model_directory).compress(DOCUMENT).save(gist)
    rng = random.Random(7)
    for _ in tried.times(short=1, long=12):
        process = subprocess.Popen(
            [sys.executable, "-m", "dnsity", "ask", str(gist), QUESTIONS[0], "-m",
             str(model_directory), "--max-new-tokens", "400"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(rng.uniform(0.3, 4))
        process.send_signal(INTERRUPT)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 130, -INTERRUPT), said.decode()


def test_who_stops_reading_stops_the_answer(tried: Tried) -> None:
    """An answer nobody waits for would hold the model, and outlive Ctrl-C."""
    from dnsity.inference.generate import Sampling

    model = tiny_gist_model()
    with torch.no_grad():  # it never ends by itself
        model.loaded.lm.base.get_output_embeddings().weight[model.loaded.encoder.eos_id] = 0
    gist, counted = model.compress(DOCUMENT), []
    real = model.loaded.lm.base.forward

    def forward(*given: Any, **named: Any) -> Any:
        counted.append(1)
        return real(*given, **named)

    model.loaded.lm.base.forward = forward
    for _ in tried.times(short=2, long=30):
        counted.clear()
        pieces = model.stream(gist, QUESTIONS[0], Sampling(max_new_tokens=450))
        next(pieces)
        pieces.close()
        made = len(counted)
        assert made < 400
        time.sleep(0.05)
        assert len(counted) == made


def test_a_torn_file_would_be_noticed(tried: Tried, tmp_path: Path, model: GistModel) -> None:
    """The control: what these tests look for is an error when it is there."""
    path = model.compress(DOCUMENT).save(tmp_path / "a.gist.safetensors")
    data = path.read_bytes()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises(DamagedFileError):
            gist_file.load(path)
        tried()
