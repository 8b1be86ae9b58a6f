"""Holds manifests against the schemas of Kubernetes, strictly: a field that there is not is a mistake as well.

Usage: kubernetes.py FILE VERSION… Says how many manifests are right by each version; what is wrong comes with its place.
"""

import sys

import kubernetes_validate
import yaml

file, versions = sys.argv[1], sys.argv[2:]
with open(file) as text:
    documents = list(yaml.safe_load_all(text))

wrong = []
for version in versions:
    for document in documents:
        name = f"{version} {document['kind']} {document['metadata']['name']}"
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            wrong.append(f"{name}: {'.'.join(map(str, fault.path))}: {fault.message}")

print(f"{len(documents)} manifests by {len(versions)} versions")
for line in wrong:
    print(line)
sys.exit(1 if wrong or not documents or not versions else 0)
