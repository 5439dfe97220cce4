"""Expected, predicted, observed: where two of them agree, the third is likely to be the wrong one."""

from __future__ import annotations

from dataclasses import replace

from harness.model.prediction import Answer, Finding, Predicted
from harness.model.result import Backend, CellResult
from harness.model.verdict import Expected, Status


def weigh(result: CellResult, predicted: Predicted, backend: Backend) -> CellResult:
    """The result with the prediction, and with who is wrong where the answers tell.

    Nothing follows from a prediction that the specification leaves undefined, from a cell that has no single
    verdict (unmeasured, flapping), nor from one that the author expects to differ on just this backend.
    The status is the judge's alone: a prediction never turns a pass into a failure or back.
    """
    result = replace(result, predicted=predicted)
    if result.verdict is None or predicted.verdict is Answer.UNDEFINED:
        return result
    agrees = predicted.agrees(result.verdict)
    if result.status is Status.FAILED and not result.expected.accepts(result.verdict):
        if agrees and not _possible(result.expected, predicted):
            return _found(
                result,
                Finding.EXPECTATION,
                f"the expectation looks wrong: {predicted.rules}{_decides(predicted)}",
            )
        if not agrees:
            who = "the lab" if backend.names[0] == "lab" else "the cluster"
            text = f"{who} deviates: by the policies it is {predicted.word}, {predicted.rules}"
            return _found(result, Finding.CLUSTER, text + _decides(predicted))
    elif result.status is Status.PASSED and not agrees and _general(result):
        text = f"expectation and network agree on {result.verdict}, the oracle predicts {predicted.word} "
        text += f"({predicted.rules}): a gap of the oracle or of the specification"
        return _found(result, Finding.ORACLE, text)
    return result


def _found(result: CellResult, finding: Finding, text: str) -> CellResult:
    return replace(result, finding=finding, finding_text=text)


def _decides(predicted: Predicted) -> str:
    if not predicted.deciding:
        return ""
    return " decides" if len(predicted.deciding) == 1 else " decide"


def _possible(expected: Expected, predicted: Predicted) -> bool:
    """Whether a verdict would be what the author and paper both say; paper knows no drop from a reject."""
    return any(expected.accepts(verdict) for verdict in predicted.possible)


def _general(result: CellResult) -> bool:
    """Whether the expectation holds for every backend and is one at all."""
    if result.expected is Expected.OBSERVE:
        return False
    return result.expected is result.cell.expectation.default
