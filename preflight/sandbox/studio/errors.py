"""The refusals of the import API, by their documented codes."""

from __future__ import annotations


class StudioError(Exception):
    """An answer other than 200: HTTP status, the service's code, a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def invalid_parameter(message: str) -> StudioError:
    """A field or query parameter is missing or not what the API takes."""
    return StudioError(400, "InvalidParameter", message)


def invalid_api_key(message: str) -> StudioError:
    """The key is missing, malformed, or belongs to another region."""
    return StudioError(401, "InvalidApiKey", message)


def not_found(message: str) -> StudioError:
    """There is no such job, or no such base model to import onto."""
    return StudioError(404, "NotFound", message)


def operation_denied(message: str) -> StudioError:
    """The job's state does not allow this; the pages name no HTTP status for it."""
    return StudioError(403, "OperationDenied", message)


def unknown_to_sandbox(message: str) -> StudioError:
    """Nothing documented: the sandbox refuses loudly instead of guessing."""
    return StudioError(
        501, "NotImplemented", f"The sandbox does not do this: {message}."
    )
