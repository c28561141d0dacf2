"""Prints deploy/gateway.yaml as TypeScript.

The compiler finds fields that the Gateway API does not have, which the schemas let pass. When
run, it checks values against the patterns and bounds of the schemas.
"""

import json
from pathlib import Path

import yaml

MANIFEST = Path(__file__).resolve().parents[3] / "deploy" / "gateway.yaml"
TYPES = "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1"


def main() -> None:
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    kinds = sorted({each["kind"] for each in documents})
    names = ", ".join(name for kind in kinds for name in (kind, f"type I{kind}"))
    print(f'import {{ {names} }} from "{TYPES}";')
    for number, each in enumerate(documents):
        print(f"const document{number}: I{each['kind']} = {json.dumps(each)};")
        print(f"new {each['kind']}(document{number}).validate();")


if __name__ == "__main__":
    main()
