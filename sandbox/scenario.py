"""The scenario file: a world to begin with. See README.md for its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sandbox.scenario_accounts import ActiveCampaignModel, EmailModel, KlickTippModel, WebinarisModel
from sandbox.scenario_callexa import CallexaModel
from sandbox.scenario_etermin import EterminModel
from sandbox.scenario_insightly import InsightlyModel
from sandbox.scenario_model import Model
from sandbox.scenario_quentn import QuentnModel
from sandbox.scenario_webinars import WebinarModel

DEFAULT_SCENARIO = Path(__file__).parent / "scenarios" / "default.yaml"


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names the file, each wrong field, and what is wrong."""


class Scenario(Model):
    """A whole world; every part may be left out."""

    webinaris: WebinarisModel = WebinarisModel()
    klicktipp: KlickTippModel = KlickTippModel()
    activecampaign: ActiveCampaignModel = ActiveCampaignModel()
    email: EmailModel = EmailModel()
    insightly: InsightlyModel = InsightlyModel()
    callexa: CallexaModel = CallexaModel()
    etermin: EterminModel = EterminModel()
    quentn: QuentnModel = QuentnModel()
    webinars: tuple[WebinarModel, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        webinars = [webinar.id for webinar in self.webinars]
        dates = [date.id for webinar in self.webinars for date in webinar.dates]
        for ids in (webinars, dates):
            if doubled := [one for one in ids if ids.count(one) > 1]:
                raise ValueError(f"webinars: the id {doubled[0]!r} is used twice")
        return self


def load_scenario(path: Path = DEFAULT_SCENARIO) -> Scenario:
    """Read a scenario file.

    :raises ScenarioError: when it cannot be read, is no YAML, or says something impossible.
    """
    try:
        content: Any = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except YAMLError as error:
        raise ScenarioError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    try:
        return Scenario.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ScenarioError("\n".join(f"{path}: {problem}" for problem in problems(error))) from error


def problems(error: ValidationError) -> list[str]:
    """Return one line for each wrong field: where it is and what is wrong."""
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"]) or "(whole)"
        lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
    return lines
