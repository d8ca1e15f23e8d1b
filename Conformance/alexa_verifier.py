"""The ASK SDK's verifier of request signatures.

Its library of certificate paths looks for OpenSSL's version with an expression that takes one digit at its end, and refuses to be
imported beside 3.0.10 and later. Only that expression is mended, while it is imported."""

import re

_search = re.search


def _patient(pattern, string, *arguments):
    if isinstance(pattern, str):
        pattern = pattern.replace(r"\d\.\d\.\d[a-z]*", r"\d+\.\d+\.\d+[a-z]*")
    return _search(pattern, string, *arguments)


re.search = _patient
try:
    from ask_sdk_webservice_support.verifier import RequestVerifier, TimestampVerifier, VerificationException
    from ask_sdk_webservice_support.webservice_handler import WebserviceSkillHandler
finally:
    re.search = _search

__all__ = ["RequestVerifier", "TimestampVerifier", "VerificationException", "WebserviceSkillHandler"]
