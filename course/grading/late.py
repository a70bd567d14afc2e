"""Late penalties as nbgrader's plugin: the class's rule, wherever nbgrader asks, under its own commands and ours."""

from __future__ import annotations

from datetime import timedelta

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float, Unicode

from course.grading.deadlines import LateRule


class LatePenalty(LateSubmissionPlugin):
    """nbgrader's plugin with the rule that class.toml gives in [late]."""

    method = Unicode("none", help="none, zero or per_day").tag(config=True)
    per_day = Float(0.0, help="share of the points earned that each day begun takes").tag(config=True)
    grace_seconds = Float(0.0, help="lateness that costs nothing").tag(config=True)
    most = Float(1.0, help="the largest share that lateness can take").tag(config=True)

    def late_submission_penalty(self, _student_id: str, score: float, total_seconds_late: float) -> float | None:
        """Points to take off; None where nothing is."""
        rule = LateRule(self.method, self.per_day, timedelta(seconds=self.grace_seconds), self.most)
        return rule.penalty(score, total_seconds_late) or None


def configure(config: object, rule: LateRule | None) -> None:
    """Put the class's rule into nbgrader's settings; without one, nbgrader's own plugin and its settings stay."""
    if rule is None:
        return
    config.AssignLatePenalties.plugin_class = f"{__name__}.LatePenalty"  # type: ignore[attr-defined]
    settings = config.LatePenalty  # type: ignore[attr-defined]
    settings.method, settings.per_day, settings.most = rule.method, rule.per_day, rule.most
    settings.grace_seconds = rule.grace.total_seconds()
