from datetime import datetime

from pydantic import BaseModel, ValidationError


class Visit(BaseModel):
    number: int
    when: datetime


print(Visit(number="3", when="2026-01-02T03:04:05Z").model_dump_json())
try:
    Visit(number="x", when=0)
except ValidationError as error:
    print(error.error_count())
