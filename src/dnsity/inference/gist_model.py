"""`GistModel`: text in, text out. The interface most people use."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import overload

import torch

from dnsity.errors import BadInputError
from dnsity.gist.spec import GistSpec
from dnsity.inference import compress as _compress
from dnsity.inference import generate as _generate
from dnsity.inference.generate import GREEDY, Answer, Sampling
from dnsity.inference.gist_cache import GistCache, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods import Method, method_of
from dnsity.model import checkpoint
from dnsity.model.base import Quantization, load_base
from dnsity.model.gist_lm import GistLM
from dnsity.model.key_values import stacked


class GistModel:
    """A model that compresses documents into gists and answers from them.

    >>> model = GistModel.from_pretrained("mini")
    >>> gist = model.compress(text)
    >>> gist.save("handbook.gist.safetensors")
    >>> model.ask(gist, "What is the passkey?").text
    """

    def __init__(self, loaded: LoadedModel) -> None:
        """Wrap a model in memory; most people call `from_pretrained`."""
        self.loaded = loaded

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> GistModel:
        """Load a gist model.

        Args:
            name: `mini` (bundled), a directory written by `dnsity train`, or a hub id.
            device: Where to run.
            dtype: Compute type.

        Raises:
            BadInputError: If there is no such model.
            UnsupportedModelError: If its base cannot hold gists.
        """
        lm, tokenizer, base = checkpoint.load(str(name), device=device, dtype=dtype)
        return cls(LoadedModel(lm, tokenizer, str(name), base))

    @classmethod
    def from_base(
        cls,
        name: str | Path,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantization: Quantization | None = None,
        frame: str = "auto",
    ) -> GistModel:
        """Load a plain causal LM: for baselines, and for methods that need no trained gists.

        Args:
            name: Directory or hub id of the base model.
            device: Where to run.
            dtype: Compute type.
            quantization: Quantise the base while it is loaded (None: as it is stored).
            frame: Accepted and without effect yet.

        Raises:
            BadInputError: If there is no such model.
            UnsupportedModelError: If it cannot hold gists.
        """
        base, tokenizer = load_base(str(name), dtype=dtype, quantization=quantization)
        lm = GistLM(base, GistSpec(scope="full"), untrained=True).to(device).eval()
        return cls(LoadedModel(lm, tokenizer, str(name), str(name), trained=False))

    def save_pretrained(self, directory: str | Path) -> None:
        """Write model, tokenizer and card; `from_pretrained` reads them back."""
        checkpoint.save(
            self.loaded.lm,
            self.loaded.tokenizer,
            Path(directory),
            base_name=self.loaded.base_name,
            card=checkpoint.read_card(self.loaded.name),
        )

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload model and card to a hub repository; returns its address."""
        import tempfile

        from huggingface_hub import HfApi

        api = HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            api.upload_folder(repo_id=repository, folder_path=directory)
        return str(address)

    @overload
    def compress(
        self,
        text: str,
        *,
        method: str | Method = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> GistCache: ...
    @overload
    def compress(
        self,
        text: list[str],
        *,
        method: str | Method = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> list[GistCache]: ...
    def compress(
        self,
        text: str | list[str],
        *,
        method: str | Method = "gist",
        gists: int | None = None,
        progress: Progress = ignore_progress,
    ) -> GistCache | list[GistCache]:
        """Compress a document, or several.

        >>> model.compress(text)                                 # trained gist tokens
        >>> model.compress(text, method="select")                # any base, seconds
        >>> model.compress(text, method=Refine(minutes=5))       # any base, minutes

        Args:
            text: A document or a list of documents.
            method: A name, or settings of `inference.methods`.
            gists: Slots, where the method goes by a name: per window with `gist` and `refine` (at
                most as many as trained with `gist`), in all with `select`.
            progress: Called with what is done and what there is to do.

        Raises:
            BadInputError: If a document is empty, too short, too long or not valid Unicode, or the
                method needs trained gists and the model has none.
            UnsupportedModelError: If the method cannot take the model.
        """
        how = method_of(method, gists=gists) if isinstance(method, str) else method
        _compress.require_trained(self.loaded, how)
        texts = [text] if isinstance(text, str) else text
        caches = _compress.compress(self.loaded, texts, how, progress)
        return caches[0] if isinstance(text, str) else caches

    @overload
    def ask(self, gist: GistCache, question: str, sampling: Sampling = GREEDY) -> Answer: ...
    @overload
    def ask(
        self, gist: GistCache, question: list[str], sampling: Sampling = GREEDY
    ) -> list[Answer]: ...
    def ask(
        self, gist: GistCache, question: str | list[str], sampling: Sampling = GREEDY
    ) -> Answer | list[Answer]:
        """Answer one question, or a list of them in one batch, from the gist alone.

        Raises:
            BadInputError: If a question is empty or too long.
            GistMismatchError: If another model made the gist.
        """
        questions = [question] if isinstance(question, str) else question
        answers = _generate.answer(self.loaded, self._prefix(gist).layers, questions, sampling)
        return answers[0] if isinstance(question, str) else answers

    def ask_each(
        self, gists: Sequence[GistCache], questions: Sequence[str], sampling: Sampling = GREEDY
    ) -> list[Answer]:
        """Ask every gist a question of its own, all in one batch.

        Args:
            gists: Compressed documents, of any numbers of slots.
            questions: As many.
            sampling: How to choose tokens.

        Raises:
            BadInputError: If there are not as many questions as gists, or one is empty or too long.
            GistMismatchError: If another model made a gist.
        """
        if len(gists) != len(questions) or not gists:
            raise BadInputError(
                f"{len(gists)} gists and {len(questions)} questions; give one question for each"
            )
        prefix, mask = stacked([self._prefix(gist).layers for gist in gists])
        return _generate.answer(
            self.loaded, prefix, questions, sampling, prefix_mask=None if mask.all() else mask
        )

    def adopt(self, gist: GistCache) -> GistCache:
        """Take a gist that another model made for one's own, at one's own risk.

        Nothing tells whether this model can make sense of it: answers may be wrong without a sign.

        Raises:
            GistMismatchError: If the shapes differ, so that it cannot be read at all.
        """
        return self.loaded.adopt(gist)

    def stream(self, gist: GistCache, question: str, sampling: Sampling = GREEDY) -> Generator[str]:
        """Yield the answer piece by piece; the same text as `ask`. Closing it stops the answer."""
        return _generate.stream(self.loaded, self._prefix(gist).layers, question, sampling)

    def _prefix(self, gist: GistCache) -> GistCache:
        self.loaded.require_own(gist)
        return gist.to(self.loaded.device, self.loaded.lm.base.dtype)
