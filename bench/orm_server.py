"""The same list of tasks as a FastAPI and SQLAlchemy server would give it: what `bench/api.py` compares with.

    python bench/orm_server.py ENV_FILE

Mapped classes, an async session a request, joined loading, a pydantic response model, the same page, order and
capped count as our first page. It reads the settings of our API (database, certificate) and prints its URL.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import sys
from pathlib import Path
from typing import Any, ClassVar

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, ForeignKey, func, select
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

from rubackup.roles.settings import Settings


class Base(DeclarativeBase):
    """Mapped classes."""

    type_annotation_map: ClassVar = {int: BigInteger, dict[str, Any]: JSONB, dt.timedelta: INTERVAL}


class Client(Base):
    __tablename__ = "clients"
    id: Mapped[int] = mapped_column(primary_key=True)
    hwid: Mapped[str]
    hostname: Mapped[str]


class MediaServer(Base):
    __tablename__ = "media_servers"
    id: Mapped[int] = mapped_column(primary_key=True)
    hostname: Mapped[str]


class Pool(Base):
    __tablename__ = "pools"
    id: Mapped[int] = mapped_column(primary_key=True)
    pool_name: Mapped[str]


class Progress(Base):
    __tablename__ = "task_progress"
    task_id: Mapped[int] = mapped_column(ForeignKey("task_queue.id"), primary_key=True)
    files_done: Mapped[int]
    files_total: Mapped[int]
    bytes_done: Mapped[int]
    bytes_total: Mapped[int]
    bytes_sent: Mapped[int]
    speed_bytes_per_second: Mapped[int]


class Task(Base):
    __tablename__ = "task_queue"
    id: Mapped[int] = mapped_column(primary_key=True)
    task_type: Mapped[str]
    status: Mapped[str]
    priority: Mapped[int]
    client_id: Mapped[int | None] = mapped_column(ForeignKey("clients.id"))
    media_server_id: Mapped[int | None] = mapped_column(ForeignKey("media_servers.id"))
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("pools.id"))
    record_id: Mapped[int | None]
    resource_type: Mapped[str]
    resource: Mapped[str]
    backup_type: Mapped[str]
    crypto: Mapped[str]
    storage_duration: Mapped[dt.timedelta | None]
    archiving: Mapped[bool]
    parameters: Mapped[dict[str, Any]]
    message: Mapped[str]
    blocked_on: Mapped[str | None]
    attempt: Mapped[int]
    restarted_from: Mapped[int | None]
    created_by: Mapped[str]
    created_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    client: Mapped[Client | None] = relationship()
    media_server: Mapped[MediaServer | None] = relationship()
    pool: Mapped[Pool | None] = relationship()
    progress: Mapped[Progress | None] = relationship()


class TaskOut(BaseModel):
    """A task as it is shown."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    task_type: str
    status: str
    priority: int
    client: str | None
    client_ref: int | None
    media_server: str | None
    media_server_ref: int | None
    pool: str | None
    pool_ref: int | None
    record: int | None
    resource_type: str
    resource: str
    backup_type: str
    crypto: str
    storage_duration: str | None
    archiving: bool
    parameters: dict[str, Any]
    percent: int
    speed_bytes_per_second: int
    eta_seconds: int | None
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    bytes_sent: int
    message: str
    blocked_on: str | None
    attempt: int
    restarted_from: int | None
    created_by: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


class PageOut(BaseModel):
    """A page."""

    items: list[TaskOut]
    total: int
    page: int
    limit: int


class Envelope(BaseModel):
    """The envelope."""

    data: PageOut
    errors: dict[str, str] = {}
    is_error: bool = False
    message: str = ""


def shown(task: Task) -> TaskOut:
    """The row of a mapped task."""
    done = task.progress
    total = done.bytes_total if done else 0
    percent = 100 if task.status == "Done" else int(100 * done.bytes_done / total) if done and total else 0
    return TaskOut(
        id=task.id, task_type=task.task_type, status=task.status, priority=task.priority,
        client=f"{task.client.hostname} ({task.client.hwid})" if task.client else None, client_ref=task.client_id,
        media_server=task.media_server.hostname if task.media_server else None, media_server_ref=task.media_server_id,
        pool=task.pool.pool_name if task.pool else None, pool_ref=task.pool_id, record=task.record_id,
        resource_type=task.resource_type, resource=task.resource, backup_type=task.backup_type, crypto=task.crypto,
        storage_duration=str(task.storage_duration), archiving=task.archiving, parameters=task.parameters,
        percent=percent, speed_bytes_per_second=done.speed_bytes_per_second if done else 0, eta_seconds=None,
        files_done=done.files_done if done else 0, files_total=done.files_total if done else 0,
        bytes_done=done.bytes_done if done else 0, bytes_total=total, bytes_sent=done.bytes_sent if done else 0,
        message=task.message, blocked_on=task.blocked_on, attempt=task.attempt, restarted_from=task.restarted_from,
        created_by=task.created_by, created_at=task.created_at, started_at=task.started_at, finished_at=task.finished_at,
    )  # fmt: skip


def application(settings: Settings) -> FastAPI:
    """The server: one list."""
    url = URL.create(
        "postgresql+asyncpg", settings.text("DB_USER"), settings.secret("DB_PASSWORD_FILE"), database=settings.text("DB_NAME"),
        query={"host": settings.text("DB_HOST"), "port": settings.text("DB_PORT")},
    )  # fmt: skip
    sessions = async_sessionmaker(create_async_engine(url, pool_size=10, max_overflow=0))
    app = FastAPI()

    @app.get("/task_queue", response_model=Envelope)
    async def tasks(page: int = 1, limit: int = 50) -> Envelope:
        wanted = (
            select(Task)
            .options(*(joinedload(one) for one in (Task.client, Task.media_server, Task.pool, Task.progress)))
            .order_by(Task.id.desc())
            .limit(limit)
            .offset((page - 1) * limit)
        )
        async with sessions() as session:
            total = await session.scalar(select(func.count()).select_from(select(Task.id).limit(10_001).subquery()))
            found = (await session.scalars(wanted)).all()
            items = [shown(task) for task in found]
        return Envelope(data=PageOut(items=items, total=total or 0, page=page, limit=limit))

    return app


def main() -> None:
    """Serve until the process is ended."""
    settings = Settings.load(Path(sys.argv[1]), {})
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"https://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        application(settings), log_level="warning", access_log=False, loop="uvloop", http="httptools",
        ssl_keyfile=str(settings.path("KEY_FILE")), ssl_certfile=str(settings.path("CERT_FILE")),
    )  # fmt: skip
    asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
