"""Links that answer a question: whoever has one holds a word of ours, so it is signed and ends with the question."""

import base64
import hashlib
import hmac
import math
from uuid import UUID

from engine.errors import NotAllowed
from engine.runtime import Runtime
from engine.store.approvals import ApprovalRow

KEY = "approval"  # name of the installation's signing key
APPROVE, REJECT = "approve", "reject"
LONGEST = 100  # characters of what a link says of itself


class BadLink(NotAllowed):
    """This link is not one of ours: it is incomplete or was changed. Nothing was decided."""


async def make_links(runtime: Runtime, row: ApprovalRow) -> dict[str, str]:
    """`url`, `approve_url`, `reject_url` of a question: the same however often they are made."""
    key = await runtime.store.signing_key(KEY)
    url = f"{runtime.settings.url}/approvals/{row.id}"
    until = str(math.ceil(row.expires_at.timestamp()))
    signed = {
        f"{word}_url": f"{url}/{word}?until={until}&signature={_sign(key, str(row.id), word, until)}"
        for word in (APPROVE, REJECT)
    }
    return {"url": url, **signed}


async def read_link(runtime: Runtime, approval_id: str, word: str, until: str, signature: str) -> UUID:
    """Which question the link is for; whether its time is over, the question says. BadLink: we did not make it."""
    key = await runtime.store.signing_key(KEY)
    if max(len(approval_id), len(until), len(signature)) > LONGEST:
        raise BadLink
    wanted = _sign(key, approval_id, word, until)
    if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "surrogatepass")):
        raise BadLink
    return UUID(approval_id)


def _sign(key: bytes, approval_id: str, word: str, until: str) -> str:
    message = "\n".join(("approval", approval_id, word, until)).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).rstrip(b"=").decode()
