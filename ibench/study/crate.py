"""A study as an RO-Crate: records, figures and provenance for an archive.

Profile: Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5). Every finished
stage is one action: the workbench is its instrument, upstream records are its objects,
its own record and the files that it vouches for are its results.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from ibench.errors import ParameterError
from ibench.records import Record
from ibench.store import RECORD, load_record
from ibench.study.grid import Grid, Job

__all__ = ["PROFILE", "make_crate"]

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_LICENSE = "https://spdx.org/licenses/Apache-2.0"
_FORMATS = {
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
}


def make_crate(study: Grid[Any], out: Path) -> int:
    """Write the crate of every finished stage of a profile.

    Args:
        study: the profile.
        out: the folder to write; an earlier crate there is replaced.

    Returns:
        Number of stages in it.

    Raises:
        ParameterError: no stage is finished, or ``out`` holds something else.
        CorruptResultError: a record is not what its hash says.
    """
    done = [j for j in study.jobs.values() if (j.folder / RECORD).is_file()]
    if not done:
        raise ParameterError(
            study.root, "records", 0, "no finished stage: run `make reproduce` first"
        )
    if out.exists() and not (out / "ro-crate-metadata.json").is_file():
        raise ParameterError(out, "out", str(out), "is there and is no crate")
    crate = ROCrate(version="1.1")
    records = {job.name: load_record(job.folder) for job in done}
    _describe(crate, study, list(records.values()))
    software = _software(crate, next(iter(records.values())))
    files: dict[Path, File] = {}
    for job in done:
        _add_stage(crate, study, job, records[job.name], software, files)
    report = study.root / "report.html"
    if report.is_file():
        _add_file(crate, study, report, "report of the study", files)
    shutil.rmtree(out, ignore_errors=True)
    crate.write(out)
    return len(done)


def _describe(crate: ROCrate, study: Grid[Any], records: list[Record]) -> None:
    """Name, licence, profile: what the root entity must say."""
    last = max(r.provenance.ended_utc for r in records)
    crate.name = f"ibench study {study.profile.name}"
    crate.description = (
        f"{study.profile.description} {len(records)} of {len(study.jobs)} stages, "
        "records with their tables and figures."
    )
    crate.license = _entity(
        crate, _LICENSE, "CreativeWork", name="Apache License 2.0", url=_LICENSE
    )
    crate.datePublished = last
    crate.root_dataset["conformsTo"] = _entity(
        crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5"
    )
    crate.publisher = _entity(
        crate, "#authors", "Organization", name="The ibench authors"
    )


def _software(crate: ROCrate, record: Record) -> ContextEntity:
    versions = record.provenance.versions
    parts = [
        _entity(
            crate,
            f"#{name}-{version}",
            "SoftwareApplication",
            name=name,
            version=version,
        )
        for name, version in sorted(versions.items())
        if name != "ibench"
    ]
    return _entity(
        crate,
        "#ibench",
        "SoftwareApplication",
        name="ibench",
        version=versions.get("ibench", "unknown"),
        softwareRequirements=parts,
    )


def _add_stage(
    crate: ROCrate,
    study: Grid[Any],
    job: Job,
    record: Record,
    software: ContextEntity,
    files: dict[Path, File],
) -> None:
    """Add a stage's files and the action that made them."""
    title = f"record of {job.name}"
    results = [_add_file(crate, study, job.folder / RECORD, title, files)]
    for name in sorted(record.files):
        path = job.folder / name
        results.append(_add_file(crate, study, path, f"{name} of {job.name}", files))
    notebook = job.folder / "executed.ipynb"
    if notebook.is_file():
        results.append(
            _add_file(crate, study, notebook, f"notebook of {job.name}", files)
        )
    inputs = [files[f / RECORD] for f in job.needs if f / RECORD in files]
    settings = [
        _entity(
            crate,
            f"#{job.name}/{name}",
            "PropertyValue",
            name=name,
            value=str(value),
        )
        for name, value in sorted(record.provenance.parameters.items())
        if not name.endswith("_dir")
    ]
    action = crate.add_action(
        instrument=software,
        identifier=f"#{job.name}",
        object=[*inputs, *settings],
        result=results,
        properties={
            "name": f"stage {job.stage}" + (f" of {job.cell.path}" if job.cell else ""),
            "startTime": record.provenance.started_utc,
            "endTime": record.provenance.ended_utc,
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "description": f"run id {record.run_id}",
        },
    )
    action["agent"] = crate.publisher


def _add_file(
    crate: ROCrate, study: Grid[Any], path: Path, title: str, files: dict[Path, File]
) -> File:
    if path not in files:
        files[path] = crate.add_file(
            path,
            path.relative_to(study.root).as_posix(),
            properties={
                "name": title,
                "encodingFormat": _FORMATS.get(path.suffix, "application/octet-stream"),
                "contentSize": str(path.stat().st_size),
            },
        )
    return files[path]


def _entity(crate: ROCrate, identifier: str, kind: str, **values: Any) -> ContextEntity:  # noqa: ANN401
    properties = {"@type": kind, **values}
    entity: ContextEntity = crate.add(ContextEntity(crate, identifier, properties))
    return entity
