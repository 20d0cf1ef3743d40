"""Instructor: answers as pydantic models, by a tool and by a schema."""

from typing import Literal

import instructor
from checks import CITY, GATEWAY, KEY, MODEL, check, expect
from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    city: Literal["Paris", "Rome"]  # so that a model that knows no JSON comes to an end


def client(mode):
    openai = OpenAI(base_url=f"{GATEWAY}/v1", api_key=KEY, max_retries=0)
    return instructor.from_openai(openai, mode=mode)


def asked(text):
    return {"model": MODEL, "response_model": City, "max_retries": 0, "messages": [{"role": "user", "content": text}]}


@check("tools", if_real=False)  # the model never learnt to
def tools():
    expect(client(instructor.Mode.TOOLS).chat.completions.create(**asked("fill in City")).model_dump(), CITY)


@check("stream", if_real=False)
def stream():
    pieces = list(client(instructor.Mode.TOOLS).chat.completions.create_partial(**asked("fill in City")))
    expect(pieces[-1].model_dump(), CITY)


@check("json_schema")
def json_schema():
    city = client(instructor.Mode.JSON_SCHEMA).chat.completions.create(**asked("Paris as JSON"), max_tokens=200, temperature=0)
    expect(list(city.model_dump()), ["city"])
