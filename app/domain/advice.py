"""What to do about an error, a sentence or two for each code: the last column of docs/errors.md."""

from collections.abc import Mapping
from typing import Any

ADVICE = {
    "SYS.1000": "Look in the server's log under the job's uuid, and report it.",
    "SYS.1001": "Submit the failed names again; raise X-API-Timeout for large jobs.",
    "SYS.1003": "Correct the uuid that the details name.",
    "SYS.1006": "Read `cause`: it says why this one clone failed.",
    "SYS.1007": "Correct the field that the details name.",
    "SYS.1010": "Look at /readyz, which says what is away, and at the control worker.",
    "SYS.1014": "See docs/zstack-compatibility.md for what this version does.",
    "SYS.1017": "Nothing: somebody cancelled it.",
    "ID.1000": (
        "Check name and password; clients send the SHA-512 of the password. After too many "
        "tries, wait as long as the details say. Of an access key: check its id, its secret, "
        "and what is signed."
    ),
    "ID.1001": "Log in again.",
    "ID.1002": "Ask the owner or an administrator.",
    "ID.1003": "Ask for a larger quota or remove what is not needed.",
    "ID.1004": "The details list the quotas and their values.",
    "ID.1006": "Log out of sessions, or wait until they expire.",
    "VM.1009": "The request names a MAC that another NIC has; name a free one, or leave it out.",
    "VM.1010": "Bring the VM into one of the states that the details list.",
    "HOST_ALLOCATION.1000": (
        "The details name the filter that nobody passed: free capacity, enable a host, "
        "attach storage or network."
    ),
    "L3.1000": "Widen the network's ranges or remove VMs that hold addresses.",
    "PS.1000": "Free space, enlarge the storage or clone to another one.",
    "PS.1003": "Look at the storage's mount and its marker file on the host.",
    "HOST.1010": "Look at the host and its worker.",
    "HOST.1005": "Look in the hypervisor's log for the VM.",
    "LONG_JOB.1001": "Nothing: it has ended.",
    "LONG_JOB.1003": (
        "Call the API itself; docs/zstack-compatibility.md lists those that can be long jobs."
    ),
    "CLONE.1001": "Put the file back or correct its path in the inventory.",
    "CLONE.1002": (
        "The details say what is wrong with which file; correct the declaration or repair the file."
    ),
    "CLONE.1003": "Stop who writes to the source; the job waits meanwhile.",
    "CLONE.1004": "Look at the disk's health.",
    "CLONE.1005": "Choose cloneMode::full, or a storage that the source's host reaches.",
    "CLONE.1006": "Install the package that the details name.",
    "CLONE.1007": "Nothing: it is tried until it is done.",
    "CLONE.1008": "`cause` is the fault that came back; mend it and submit again.",
    "CLONE.1009": "Look at why the workers died (memory, disk), then submit again.",
    "CLONE.1010": "The details name the first one that failed; mend that, then retry the job.",
    "CLONE.1011": "Read the first failures, mend their cause, then retry the job.",
    "CLONE.1012": "Nothing, or end the backup, block job or migration that libvirt names.",
    "CLONE.1013": "The details name the element of its domain; remove it, or clone another VM.",
    "CLONE.1014": (
        "Make the bridge or libvirt network that the details name, or correct the inventory."
    ),
    "CLONE.1015": "Rename or remove the domain that the details name; vmclone never touches it.",
    "CLONE.1016": (
        "Clone it when it writes less, raise the allowance that the details name, or make room."
    ),
    "CLONE.1040": "Put the key file in its place (docs/accounts.md).",
}
_DEFAULT = "SYS.1000"


def advice_for(error: Mapping[str, Any]) -> str:
    """Of an ErrorCode as JSON: its cause's advice where it has one, for that is what is to be
    mended."""
    while error.get("cause"):
        error = error["cause"]
    return ADVICE.get(str(error.get("code")), ADVICE[_DEFAULT])
