# Signs and checks messages with python3-dkim, python3-spf and python3-authres. It reads one JSON
# object a line, and writes one a line.
import base64
import json
import sys

import authres
import dkim
import spf


def sign(request):
    text = base64.b64decode(request["Text"])
    for job in request["Jobs"] or []:
        field = dkim.sign(
            text, job["Selector"].encode(), job["Domain"].encode(), job["Key"].encode(),
            canonicalize=tuple(c.encode() for c in job["Canon"].split("/")), length=job["Length"])
        text = field + text
    return {"Text": base64.b64encode(text).decode()}


def check(request):
    text = base64.b64decode(request["Text"])
    out = {"DKIM": [], "Problem": []}
    for i in range(request["Signatures"]):
        try:
            out["DKIM"].append("pass" if dkim.DKIM(text).verify(idx=i) else "fail")
            out["Problem"].append("")
        except Exception as e:
            out["DKIM"].append("fail")
            out["Problem"].append("%s: %s" % (type(e).__name__, e))
    sender = request["Sender"]
    out["SPF"], out["SPFProblem"] = spf.check2(i=request["IP"], s=sender, h=request["HELO"])
    results = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + request["Field"])
    out["ID"] = str(results.authserv_id)
    out["Results"] = [
        {"Method": r.method, "Value": r.result, "Properties": [[p.type, p.name, p.value] for p in r.properties]}
        for r in results.results]
    return out


verb = {"sign": sign, "check": check}[sys.argv[1]]
for line in sys.stdin:
    print(json.dumps(verb(json.loads(line))), flush=True)
