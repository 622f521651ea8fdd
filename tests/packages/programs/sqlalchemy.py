from sqlalchemy import String, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Visit(Base):
    __tablename__ = "visit"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(9))


engine = create_engine("sqlite:///results/a.db")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([Visit(name="a"), Visit(name="b")])
    session.commit()
    print(session.scalar(select(func.count()).select_from(Visit)))
