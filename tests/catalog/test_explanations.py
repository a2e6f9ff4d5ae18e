from __future__ import annotations

from collections import Counter

from preflight.catalog.explanations import (
    Service,
    explain,
    explain_code,
    load_explanations,
)


def test_every_row_says_what_why_and_from_where() -> None:
    rows = load_explanations()
    assert {row.service for row in rows} == set(Service)
    for row in rows:
        assert row.codes or row.sentences or row.ecs
        assert row.cause
        assert row.remedy
        assert row.source.startswith(("OSS docs", "Model Studio docs"))
        for text in (row.cause, row.remedy):
            assert not text.endswith((".", "!"))


def test_no_code_is_explained_twice() -> None:
    codes = Counter(
        (row.service, code.casefold())
        for row in load_explanations()
        for code in row.codes
    )
    assert [code for code, count in codes.items() if count > 1] == []
    ecs = Counter(ec for row in load_explanations() for ec in row.ecs)
    assert [ec for ec, count in ecs.items() if count > 1] == []


def test_the_documented_codes_of_the_api_are_explained() -> None:
    for code in [
        "InvalidParameter",
        "InvalidApiKey",
        "NotFound",
        "OperationDenied",
        "InternalError",
        "Throttling",
        "Throttling.RateQuota",
        "Throttling.AllocationQuota",
        "AccessDenied",
        "Workspace.AccessDenied",
        "AccessDenied.Unpurchased",
        "Arrearage",
        "SystemError",
        "RequestTimeOut",
        "InternalError.Timeout",
        "10041495",
    ]:
        found = explain_code(Service.STUDIO, code)
        assert found is not None, code
        assert code in found.codes


def test_the_frequent_codes_of_oss_are_explained() -> None:
    for code in [
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchUpload",
        "AccessDenied",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "SecurityTokenExpired",
        "InvalidSecurityToken",
        "RequestTimeTooSkewed",
        "EntityTooSmall",
        "InvalidPart",
        "FileAlreadyExists",
        "InvalidBucketName",
        "InvalidObjectState",
        "UserDisable",
        "InternalError",
    ]:
        found = explain_code(Service.OSS, code)
        assert found is not None, code
        assert code in found.codes


def test_codes_and_sentences_find_their_cause() -> None:
    for service, text, words in [
        (Service.JOB, "AvailableModelFileNotFound", "no usable set"),
        (Service.JOB, "availablemodelfilenotfound: x", "no usable set"),
        (
            Service.JOB,
            "Failed to get files from OSS. Check the files in OSS.",
            "could not read the files",
        ),
        (
            Service.JOB,
            "OSS获取文件失败，请检查OSS内文件",  # noqa: RUF001
            "could not read the files",
        ),
        (Service.JOB, "InternalError", "the service failed inside"),
        (Service.JOB, "NoSuchBucket", "no bucket of this name"),
        (Service.STUDIO, "Throttling.NewKind", "too many requests"),
        (Service.STUDIO, "Invalid API-key provided.", "another region"),
        (
            Service.OSS,
            "AccessDenied: The bucket must be addressed using the specified endpoint.",
            "not that of the bucket's region",
        ),
        (Service.OSS, "AccessDenied: no right", "may not do this"),
    ]:
        found = explain_code(service, text)
        assert found is not None
        assert words in found.cause


def test_the_ec_is_finer_than_the_sentence_and_that_than_the_code() -> None:
    said = "Access denied by bucket policy."
    told = [
        explain(Service.OSS, code="AccessDenied", said=said, ec="0003-00000201"),
        explain(Service.OSS, code="AccessDenied", said=said, ec="9999-00000001"),
        explain(Service.OSS, code="AccessDenied", said="no"),
    ]
    words = ("Deny in a RAM policy", "bucket policy denies", "may not do this")
    for found, cause in zip(told, words, strict=True):
        assert found is not None
        assert cause in found.cause
    assert explain(Service.OSS, ec="9999-00000001") is None


def test_the_unknown_is_not_guessed() -> None:
    for text in ["", " ", "SomethingNew", "SomethingNew: it is", "."]:
        for service in Service:
            assert explain_code(service, text) is None


def test_a_code_means_what_its_service_means() -> None:
    found = [explain_code(s, "AccessDenied") for s in (Service.OSS, Service.STUDIO)]
    assert found[0] is not None
    assert found[1] is not None
    assert "RAM user" in found[0].remedy
    assert "import models" in found[1].remedy
