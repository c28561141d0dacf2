"""The tables of Portico itself: tests of other modules may have declared more."""

from sqlalchemy.orm import Mapper

from app.database.base import Base


def own_mappers() -> list[Mapper[Base]]:
    return [each for each in Base.registry.mappers if each.class_.__module__.startswith("app.")]


OWN_TABLES = sorted(each.class_.__tablename__ for each in own_mappers())
