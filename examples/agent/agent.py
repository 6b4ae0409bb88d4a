"""An AI agent's side of the proxy, with nothing but Python's standard library: it
calls an API, and when the proxy says that the user has to connect an account, it
shows the link, waits until that is done, and repeats the call.

    ACCESS_TOKEN=… python3 examples/agent/agent.py http://localhost:8080/google/calendar/v3/calendars/primary/events
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request


def call(url, token):
    """What the API answers, after the user connected the account if that was needed."""
    status, headers, body = get(url, token)
    # Only the proxy sets this header: a 401 without it is the API's own.
    if "Token-Vault-Error" in headers:
        problem = json.loads(body)
        if "link_url" not in problem:
            raise RuntimeError(f"{problem['error']}: {problem['detail']}")
        print(f"To go on, open this link and connect your account:\n\n  {problem['link_url']}\n\nWaiting for you…", flush=True)
        wait(problem["status_url"], token)
        status, _, body = get(url, token)
    if status >= 400:
        raise RuntimeError(f"{url} answered {status}")
    return body.decode()


def wait(status_url, token):
    """Returns when the account is connected."""
    while True:
        # The proxy answers when there is news, at the latest after 50 seconds.
        code, headers, body = get(status_url + "&wait=50", token)
        if code >= 400:
            raise RuntimeError(f"asking for the status was answered {code}")
        status = json.loads(body)["status"]
        if status == "completed":
            return
        if status != "pending":
            raise RuntimeError(f"the account was not connected: {status}")
        time.sleep(float(headers.get("Retry-After") or 0.1))  # should the proxy not wait


def get(url, token):
    """Status, headers and body of an answer, whatever the status."""
    request = urllib.request.Request(url)
    # Where a redirect leads, the token does not go.
    request.add_unredirected_header("Authorization", "Bearer " + token)
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, answer.headers, answer.read()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.environ.get("ACCESS_TOKEN"):
        sys.exit("usage: ACCESS_TOKEN=<access token> agent.py <url>")
    try:
        print(call(sys.argv[1], os.environ["ACCESS_TOKEN"]))
    except (OSError, RuntimeError) as error:
        sys.exit(f"agent: {error}")
