"""Questions that come one by one, asked together: those that wait share the next reading.

It stands between many askers (streams) and the read model. One reading is on its way at a time; whoever
asks meanwhile has a place in the next one, so the more ask, the less each of them costs.
"""

from __future__ import annotations

import asyncio

from streams.read_model import QUESTIONS_A_READ, Answer, Question, ReadModel, Refusal


class Gathered:
    """Answers single questions from shared readings."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def kpis(self, question: Question) -> Answer:
        """The answer of ``/api/v1/kpis``, not to be changed. Raises what `ReadModel.kpis` raises."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="gathered questions")
        return await future

    async def _read(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting[:QUESTIONS_A_READ], self._waiting[QUESTIONS_A_READ:]
            wanted = [(question, future) for question, future in asked if not future.cancelled()]
            questions = list(dict.fromkeys(question for question, _ in wanted))
            answers: dict[Question, Answer | Refusal | Exception]
            try:
                found = await self._model.kpis_many(questions)
                answers = dict(zip(questions, found, strict=True))
            except Exception as error:  # Told to everyone who asked.
                answers = dict.fromkeys(questions, error)
            for question, future in wanted:
                if not future.done():
                    _settle(future, answers[question])


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
