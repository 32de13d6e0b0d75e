"""The likeliest labellings of CTC by prefix beam search, with a language model and hotwords.

Of every beginning of a text (prefix) the probability of all paths that read so is kept in two
parts, those that end in a blank and those that do not (Graves et al. 2006; Hannun et al. 2014,
arXiv 1408.2873): a labelling gets the sum over its paths, where a search over paths would have the
best of them only. A frame is a few calls over all items, beams and tokens at once. Probabilities
are kept as such, not as logarithms, each frame scaled to its best beginning, with the language
model's factors in them; beginnings are numbers of nodes in a tree, so that two ways to one are
found by a look at its parent's place in the beam.

Three of the options leave out what hardly counts: tokens unlikely in a frame, frames that are
surely blank, beginnings far behind the best. `BeamOptions.exact` leaves out none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.ctc import BLANK, TokenSpan, align_batch, checked
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aural.decode.language import TokenScorer

GROUP_BEAMS = 1600
"""Beginnings searched at once, of as many items as that makes: more gain nothing."""
SMALLEST = 5e-324
"""The least number above 0."""
BLOCK_NUMBERS = 1 << 19
"""Probabilities made ready at once."""
MAX_WEIGHT = 50.0
MAX_GAIN = 600.0
"""The most that scorers may add for one token: more is no longer a number."""


@dataclass(frozen=True)
class BeamOptions:
    """beam_size: beginnings kept at each frame; n_best: texts told, at most beam_size.

    A text's score is its log probability + lm_weight x the language model's + insertion_bonus x its
    tokens + what its hotwords bring.
    """

    beam_size: int = 50
    n_best: int = 1
    lm_weight: float = 0.5
    insertion_bonus: float = 0.0

    min_token_prob: float = 1e-4
    """A token less likely than that in a frame is taken for impossible there."""
    skip_blank_prob: float = 0.999
    """Frames whose blank is as likely as that are passed over in one step, as blanks; above 1:
    none."""
    beam_threshold: float = 16.0
    """Beginnings whose score is so much below the best one's are dropped."""

    spans: bool = False
    """Whether the tokens' frames are found, by aligning each text told."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_best <= self.beam_size:
            raise InputError(
                f"n_best is {self.n_best} and beam_size {self.beam_size}; give 1 <= n_best <= "
                "beam_size"
            )
        for name in ("lm_weight", "insertion_bonus"):
            if not abs(getattr(self, name)) <= MAX_WEIGHT:
                raise InputError(
                    f"{name} is {getattr(self, name)}; give {-MAX_WEIGHT} to {MAX_WEIGHT}"
                )
        if not 0 <= self.min_token_prob < 1:
            raise InputError(f"min_token_prob is {self.min_token_prob}; give 0 to below 1")
        if not self.skip_blank_prob > 0.5:
            raise InputError(f"skip_blank_prob is {self.skip_blank_prob}; give more than 0.5")
        if not self.beam_threshold > 0:
            raise InputError(f"beam_threshold is {self.beam_threshold}; give more than 0")

    @property
    def exact(self) -> BeamOptions:
        """The same with no token, frame or beginning left out but by beam_size."""
        return replace(self, min_token_prob=0.0, skip_blank_prob=math.inf, beam_threshold=math.inf)


@dataclass(frozen=True)
class BeamText:
    """A text found.

    log_prob: of its paths together, as far as the beam held them; score: with the language model,
    bonus and hotwords. spans are the tokens' frames on the likeliest path, where asked for.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float
    spans: tuple[TokenSpan, ...] = ()


def prefix_beam(
    log_probs: np.ndarray,
    lengths: Sequence[int] | np.ndarray | None = None,
    options: BeamOptions | None = None,
    *,
    lm: TokenScorer | None = None,
    hotwords: TokenScorer | None = None,
) -> list[list[BeamText]]:
    """Of each item the n_best texts of the highest score, best first (fewer where the beam held
    fewer). An item without any path of a probability above 0 is the empty text with -inf.

    Args:
        log_probs: (item, frame, tokens), or (frame, tokens) for one item; blank in column 0.
        lengths: frames of each item; all of them where None.
        lm: over the same tokens; its score of ending counts too.
        hotwords: hotwords.Hotwords, or any other scorer to be added with a weight of 1.

    Raises:
        InputError: as in ctc.greedy; a scorer of another number of tokens.
    """
    options = options or BeamOptions()
    batch, frames = checked(log_probs, lengths)
    scorers = [(lm, options.lm_weight)] if lm is not None and options.lm_weight else []
    scorers += [(hotwords, 1.0)] if hotwords is not None else []
    for scorer, _ in scorers:
        if scorer.tokens != batch.shape[2]:
            raise InputError(
                f"a scorer of {scorer.tokens} tokens for log probabilities of {batch.shape[2]}; "
                "give one made for the same tokens"
            )
    order = np.argsort(-frames, kind="stable")
    found: list[list[BeamText]] = [[] for _ in batch]
    size = max(1, GROUP_BEAMS // options.beam_size)
    for start in range(0, len(order), size):
        items = order[start : start + size]
        emissions = _Emissions([batch[item, : frames[item]] for item in items], options)
        texts = _Search(emissions, scorers, options).texts()
        for place, item in enumerate(items[emissions.order].tolist()):
            found[item] = texts[place]
    return _with_spans(batch, frames, found) if options.spans else found


def _with_spans(
    batch: np.ndarray, frames: np.ndarray, found: list[list[BeamText]]
) -> list[list[BeamText]]:
    for rank in range(max(map(len, found), default=0)):
        items = [
            i
            for i, texts in enumerate(found)
            if len(texts) > rank and texts[rank].log_prob > -math.inf
        ]
        aligned = align_batch(batch[items], [found[i][rank].tokens for i in items], frames[items])
        for item, alignment in zip(items, aligned, strict=True):
            found[item][rank] = replace(found[item][rank], spans=alignment.spans)
    return found


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame of those items that have one.

    probs (item, tokens): what is pruned is 0. What is left of them, but for the blank, is listed
    item by item: cells, where each stands in probs laid flat; items and tokens, its own; levels,
    its probability. after_gap (item,): whether frames were passed over before this one; None where
    none was.
    """

    probs: np.ndarray
    cells: np.ndarray
    items: np.ndarray
    tokens: np.ndarray
    levels: np.ndarray
    after_gap: np.ndarray | None


class _Emissions:
    """The frames that are searched, items put in order of falling count of them.

    skipped: (item,), the log probability of the blanks that were passed over.
    """

    def __init__(self, items: Sequence[np.ndarray], options: BeamOptions) -> None:
        self._min_prob = options.min_token_prob
        highest = math.log(options.skip_blank_prob) if options.skip_blank_prob <= 1 else math.inf
        kept = [np.flatnonzero(item[:, BLANK] < highest) for item in items]
        self.order = np.argsort([-len(places) for places in kept], kind="stable")
        self._items = [items[i] for i in self.order]
        self._kept = [kept[i] for i in self.order]
        self.tokens = items[0].shape[1]
        self.skipped = np.array(
            [
                np.delete(item[:, BLANK], places).sum(dtype=np.float64)
                for item, places in zip(self._items, self._kept, strict=True)
            ]
        )

    def __iter__(self) -> Iterator[_Frame]:
        count = len(self._kept[0])
        block = max(1, BLOCK_NUMBERS // (len(self._items) * self.tokens))
        for start in range(0, count, block):
            yield from self._block(start, min(start + block, count))

    def _block(self, start: int, stop: int) -> Iterator[_Frame]:
        places = [kept[start:stop] for kept in self._kept]
        sizes = np.array([len(each) for each in places])
        running = int(np.count_nonzero(sizes))
        probs = np.zeros((stop - start, running, self.tokens))
        gaps = np.zeros((stop - start, running), bool)
        for i, (item, kept, own) in enumerate(zip(self._items, self._kept, places, strict=True)):
            if own.size:
                np.exp(item[own], out=probs[: own.size, i], dtype=np.float64)
                before = kept[start - 1] if start else -1
                gaps[: own.size, i] = np.diff(own, prepend=before) > 1
        left = probs >= max(self._min_prob, SMALLEST)
        left[:, :, BLANK] = False
        frame, row, token = np.nonzero(left)
        levels, cells = probs[left], row * self.tokens + token
        ends = np.searchsorted(frame, np.arange(stop - start), side="right").tolist()
        left[:, :, BLANK] = True
        probs *= left
        any_gap = [bool(each.any()) for each in gaps]
        for i, (first, last) in enumerate(pairwise([0, *ends])):
            active, own = int(np.count_nonzero(sizes > i)), slice(first, last)
            yield _Frame(
                probs[i, :active],
                cells[own],
                row[own],
                token[own],
                levels[own],
                gaps[i, :active] if any_gap[i] else None,
            )


class _Tree:
    """Beginnings as nodes: each is its parent's with one more token.

    Node 0 is none, what an empty place of a beam holds; it is its own parent. factors: what the
    scorers make of a node's last token, a number that probabilities are multiplied by; gained: the
    sum of their logarithms from the root. A node in the beam has a row of what the scorers say of
    every next token, in column 0 of ending; rows are kept while there is room. highest: the largest
    factor so far.
    """

    def __init__(
        self,
        roots: int,
        tokens: int,
        scorers: Sequence[tuple[TokenScorer, float]],
        options: BeamOptions,
    ) -> None:
        self._scorers, self._tokens, self._bonus = scorers, tokens, options.insertion_bonus
        self.size = roots + 1
        self.parents, self.last = np.zeros(1024, np.int64), np.zeros(1024, np.int64)
        self.places, self._slots = np.zeros(1024, np.int64), np.full(1024, -1)
        self.factors, self.gained = np.ones(1024), np.zeros(1024)
        self._states = [np.zeros(1024, np.int64) for _ in scorers]
        self._children: dict[int, int] = {}
        self._slots[0] = 0
        self._held = 1
        self.highest = 0.0 if scorers else math.exp(self._bonus)
        if scorers:
            room = 1 + 4 * roots * options.beam_size
            self._rows = np.zeros((room, tokens), np.float32)
            self._holders = np.zeros(room, np.int64)
            nodes = np.arange(1, self.size)
            for states, (scorer, _) in zip(self._states, scorers, strict=True):
                states[nodes] = scorer.start()
            self._fill(nodes)

    def next_factors(self, nodes: np.ndarray, tokens: np.ndarray) -> np.ndarray | float:
        """What each node is multiplied by when its token follows; never more than highest."""
        if not self._scorers:
            return self.highest
        places = self._slots.take(nodes) * self._tokens + tokens
        return np.exp(self._rows.reshape(-1).take(places), dtype=np.float64)

    def end_factors(self, nodes: np.ndarray) -> np.ndarray:
        """What each node is multiplied by when the text ends there."""
        if not self._scorers:
            return np.ones(nodes.shape)
        return np.exp(self._rows[self._slots[nodes], 0], dtype=np.float64)

    def extend(self, parents: np.ndarray, tokens: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The nodes after one more token each; others are the nodes that stay in the beam."""
        keys = (parents * self._tokens + tokens).tolist()
        known = self._children.get
        nodes = np.array([known(key, 0) for key in keys], np.int64)
        new = _true(nodes == 0)
        if new.size:
            nodes[new] = np.arange(self.size, self.size + new.size)
            self._children.update(
                zip([keys[i] for i in new.tolist()], nodes[new].tolist(), strict=True)
            )
            self._add(parents[new], tokens[new])
        if self._scorers:
            missing = nodes[self._slots.take(nodes) < 0]
            if self._held + missing.size > len(self._rows):
                self._make_room(np.concatenate([others, nodes[self._slots.take(nodes) >= 0]]))
            self._fill(missing)
        return nodes

    def text(self, node: int) -> tuple[int, ...]:
        """The tokens from the root."""
        tokens = []
        while self.parents[node]:
            tokens.append(int(self.last[node]))
            node = int(self.parents[node])
        return tuple(reversed(tokens))

    def _add(self, parents: np.ndarray, tokens: np.ndarray) -> None:
        while self.size + parents.size > self.parents.size:
            self._grow()
        new = slice(self.size, self.size + parents.size)
        self.size += parents.size
        self.parents[new], self.last[new] = parents, tokens
        if not self._scorers:
            self.factors[new] = math.exp(self._bonus)
            self.gained[new] = self.gained[parents] + self._bonus
            return
        told = self._rows[self._slots[parents], tokens].astype(np.float64)
        self.factors[new] = np.exp(told)
        self.gained[new] = self.gained[parents] + told
        for states, (scorer, _) in zip(self._states, self._scorers, strict=True):
            states[new] = scorer.advance(states[parents], tokens)

    def _grow(self) -> None:
        for name in ("parents", "last", "places", "factors", "gained"):
            setattr(self, name, np.concatenate([getattr(self, name)] * 2))
        self._slots = np.concatenate([self._slots, np.full(self._slots.size, -1)])
        self._states = [np.concatenate([states] * 2) for states in self._states]

    def _fill(self, nodes: np.ndarray) -> None:
        """Work out the rows of nodes."""
        if not nodes.size:
            return
        slots = slice(self._held, self._held + nodes.size)
        total = self._rows[slots]
        total[:] = 0
        for states, (scorer, weight) in zip(self._states, self._scorers, strict=True):
            total += np.float32(weight) * scorer.scores(states[nodes])
        if self._bonus:
            total[:, 1:] += np.float32(self._bonus)
        np.minimum(total, MAX_GAIN, out=total)
        self.highest = max(self.highest, math.exp(total.max()))
        self._slots[nodes] = np.arange(slots.start, slots.stop)
        self._holders[slots] = nodes
        self._held = slots.stop

    def _make_room(self, kept: np.ndarray) -> None:
        """Forget all rows but those of kept."""
        kept = kept[kept > 0]
        rows = self._rows[self._slots[kept]]
        self._slots[self._holders[1 : self._held]] = -1
        self._held = 1 + kept.size
        self._rows[1 : self._held] = rows
        self._holders[1 : self._held] = kept
        self._slots[kept] = np.arange(1, self._held)


class _Search:
    """The beams of a group of items: nodes, and the probabilities of their paths that end in a
    blank (blanks) or not (others), all (item, beam), times what the scorers said, over
    exp(shifts) (item,)."""

    def __init__(
        self,
        emissions: _Emissions,
        scorers: Sequence[tuple[TokenScorer, float]],
        options: BeamOptions,
    ) -> None:
        items = len(emissions.skipped)
        self._emissions, self._options = emissions, options
        self._cut = math.exp(-options.beam_threshold)
        self._tree = _Tree(items, emissions.tokens, scorers, options)
        self._nodes = np.arange(1, items + 1)[:, None]
        self._blanks, self._others = np.ones((items, 1)), np.zeros((items, 1))
        self._tree.places[1 : items + 1] = np.arange(items)
        self._shifts = emissions.skipped
        self._entries = np.zeros(items * emissions.tokens, np.int64)
        self._rows = np.arange(0, self._entries.size, emissions.tokens)[:, None]
        self._texts: list[list[BeamText]] = [[] for _ in range(items)]

    def texts(self) -> list[list[BeamText]]:
        """Search all frames."""
        for frame in self._emissions:
            if len(frame.probs) < len(self._nodes):
                self._finish(len(frame.probs))
            self._step(frame)
        self._finish(0)
        return self._texts

    def _finish(self, running: int) -> None:
        """Take out the items from running on: they have no more frames."""
        for item in range(running, len(self._nodes)):
            self._texts[item] = self._best(item)
        self._nodes, self._shifts = self._nodes[:running], self._shifts[:running]
        self._blanks, self._others = self._blanks[:running], self._others[:running]

    def _best(self, item: int) -> list[BeamText]:
        nodes, weights = self._nodes[item], self._blanks[item] + self._others[item]
        scores = weights * self._tree.end_factors(nodes)
        order = np.argsort(-scores, kind="stable")[: self._options.n_best]
        shift = float(self._shifts[item])
        texts = []
        for beam in order[scores[order] > 0].tolist():
            node, weight = int(nodes[beam]), float(weights[beam])
            log_prob = math.log(weight) + shift - float(self._tree.gained[node])
            score = math.log(scores[beam]) + shift
            texts.append(BeamText(self._tree.text(node), log_prob, score))
        return texts or [BeamText((), -math.inf, -math.inf)]

    def _step(self, frame: _Frame) -> None:
        """Go through a frame."""
        tree, nodes = self._tree, self._nodes
        total = self._blanks + self._others
        if frame.after_gap is not None:
            self._others = self._others * ~frame.after_gap[:, None]
            self._blanks = total - self._others
        last = tree.last.take(nodes)
        parents = tree.parents.take(nodes)
        above = np.minimum(tree.places.take(parents), nodes.size - 1)
        joined = _true(nodes.take(above) == parents)  # those whose parent is there too
        cells = last + self._rows[: len(nodes)]
        others = self._others
        if joined.size:
            above = above.take(joined)
            again = last.take(above) == last.take(joined)
            came = np.where(again, self._blanks.take(above), total.take(above))
            others = others.copy()
            others.reshape(-1)[joined] += came * tree.factors.take(nodes.take(joined))
        others = others * frame.probs.take(cells)
        blanks = total * frame.probs[:, :1]
        taken = self._places_of(frame, cells.take(joined), above % nodes.shape[1])
        grown = self._grown(frame, total, last, blanks + others, taken)
        self._choose(blanks, others, *grown)

    def _places_of(self, frame: _Frame, cells: np.ndarray, beams: np.ndarray) -> np.ndarray:
        """Where the frame's tokens listed at cells, said after beams, stand among all of (listed
        token, beam); those that are not listed are left out."""
        listed = frame.cells.size
        if not listed or not cells.size:
            return cells[:0]
        self._entries[frame.cells] = np.arange(listed)
        entries = np.minimum(self._entries.take(cells), listed - 1)
        known = frame.cells.take(entries) == cells
        return (entries * self._nodes.shape[1] + beams)[known]

    def _grown(
        self,
        frame: _Frame,
        total: np.ndarray,
        last: np.ndarray,
        kept: np.ndarray,
        taken: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Beginnings with one of the frame's tokens more, as far as they may get into the beam and
        are not there yet (taken): by item, the places of what they grow from, their tokens, and
        their scores. kept: the scores of what is in the beam."""
        width = kept.shape[1]
        least = kept.max(axis=1) * self._cut
        if width == self._options.beam_size:
            least = np.maximum(least, kept.min(axis=1))
        least = least.take(frame.items)
        hoped = total.take(frame.items, axis=0)
        hoped *= (frame.levels * self._tree.highest)[:, None]
        flat = hoped.reshape(-1)
        flat[taken] = 0
        found = _true(hoped > least[:, None])
        if not found.size:
            return found, found, np.zeros(0)
        entry = found // width
        beam = found - entry * width
        sources = frame.items.take(entry) * width + beam
        tokens = frame.tokens.take(entry)
        again = last.take(sources) == tokens
        scores = np.where(again, self._blanks.take(sources), total.take(sources))
        scores *= frame.levels.take(entry)
        scores *= self._tree.next_factors(self._nodes.take(sources), tokens)
        good = _true(scores > least.take(entry))
        return sources.take(good), tokens.take(good), scores.take(good)

    def _choose(
        self,
        blanks: np.ndarray,
        others: np.ndarray,
        sources: np.ndarray,
        tokens: np.ndarray,
        grown: np.ndarray,
    ) -> None:
        """Go on with the best of what is there and what has grown."""
        count, width = blanks.shape
        kept = blanks + others
        if not grown.size:
            self._scale(kept.max(axis=1), blanks, others)
            return
        item = sources // width
        counts = np.bincount(item, minlength=count)
        starts = np.add.accumulate(counts) - counts
        scores = np.zeros((count, width + int(counts.max())))
        scores[:, :width] = kept
        columns = scores.shape[1]
        places = np.arange(item.size) + item * columns + width - starts.take(item)
        scores.reshape(-1)[places] = grown
        top = scores.max(axis=1)
        found, into, new_width = _above(scores, top * self._cut, self._options.beam_size)
        row = found // columns
        column = found - row * columns
        stays = column < width
        stay, grow = _true(stays), _true(~stays)
        nodes = np.zeros(count * new_width, np.int64)
        now_blanks, now_others = np.zeros((2, count * new_width))
        source, target = (row * width + column).take(stay), into.take(stay)
        nodes[target] = self._nodes.take(source)
        now_blanks[target] = blanks.take(source)
        now_others[target] = others.take(source)
        if grow.size:
            chosen = (starts.take(row) + column - width).take(grow)
            parents, target = self._nodes.take(sources.take(chosen)), into.take(grow)
            nodes[target] = self._tree.extend(parents, tokens.take(chosen), nodes)
            now_others[target] = grown.take(chosen)
        self._tree.places[nodes] = np.arange(nodes.size)
        self._nodes = nodes.reshape(count, new_width)
        self._scale(top, now_blanks.reshape(count, -1), now_others.reshape(count, -1))

    def _scale(self, top: np.ndarray, blanks: np.ndarray, others: np.ndarray) -> None:
        """Go on with these probabilities, over the highest of each item."""
        if not top.all():
            dead = top == 0
            self._shifts[dead] = -np.inf
            top = np.where(dead, 1.0, top)
        self._shifts += np.log(top)
        self._blanks, self._others = blanks / top[:, None], others / top[:, None]


def _above(scores: np.ndarray, cut: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The scores above each row's cut, at most so many a row: where they stand in scores laid flat,
    where they go in as many rows of the width that they need, and that width."""
    high = scores > cut[:, None]
    counts = np.add.reduce(high, axis=1, dtype=np.int64)
    width = max(1, int(counts.max()))
    columns = scores.shape[1]
    if width <= most:
        found = _true(high)
        row = found // columns
        starts = np.arange(0, counts.size * width, width) - np.add.accumulate(counts) + counts
        return found, np.arange(found.size) + starts.take(row), width
    best = scores.argpartition(columns - most, axis=1)[:, columns - most :]
    found = (best + np.arange(0, scores.size, columns)[:, None]).reshape(-1)
    into = _true(high.take(found))
    return found.take(into), into, most


def _true(mask: np.ndarray) -> np.ndarray:
    """Where a mask laid flat is true."""
    return mask.reshape(-1).nonzero()[0]
