"""Documents that an earlier version wrote read as they did."""

import json

from server.catalog import codec
from tests.server.catalog.records import dataset, release


def test_a_dataset_of_before_tenants_is_of_the_only_one_and_overlaps_nothing() -> None:
    document = json.loads(codec.write_dataset(dataset()))
    for name in ("tenant", "fingerprint", "overlaps", "distinct_from"):
        del document[name]
    assert codec.read_dataset(json.dumps(document)) == dataset()


def test_records_of_before_names_were_kept_have_none() -> None:
    stored, asked = json.loads(codec.write_dataset(dataset())), json.loads(codec.write_release(release()))
    del stored["registrar_names"], asked["requester_names"]
    assert codec.read_dataset(json.dumps(stored)).registrar_names == ()
    assert codec.read_release(json.dumps(asked)).requester_names == ()


def test_a_release_of_before_grants_were_attested_has_none() -> None:
    document = json.loads(codec.write_release(release()))
    del document["verdicts_grant"]
    assert codec.read_release(json.dumps(document)).verdicts_grant == ""
