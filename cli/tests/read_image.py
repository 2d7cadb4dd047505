"""Reads an OCI image layout with the standard library of Python: an implementation apart from the
command's. Prints the module's bytes in base64, and fails on anything that is wrong or left over."""

import base64, gzip, hashlib, io, json, pathlib, sys, tarfile

root = pathlib.Path(sys.argv[1])
seen = set()


def blob(descriptor, media_types):
    assert descriptor["mediaType"] in media_types, descriptor
    algorithm, name = descriptor["digest"].split(":")
    assert algorithm == "sha256", descriptor
    data = (root / "blobs" / algorithm / name).read_bytes()
    assert len(data) == descriptor["size"], (descriptor, len(data))
    assert hashlib.sha256(data).hexdigest() == name, descriptor
    seen.add(name)
    return data


assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
index = json.loads((root / "index.json").read_text())
assert index["schemaVersion"] == 2 and len(index["manifests"]) == 1, index
manifest = json.loads(blob(index["manifests"][0], ["application/vnd.oci.image.manifest.v1+json"]))
assert manifest["schemaVersion"] == 2, manifest
variant = manifest["annotations"]["module.wasm.image/variant"]
if variant == "compat":
    config = json.loads(blob(manifest["config"], ["application/vnd.oci.image.config.v1+json"]))
    (layer,) = manifest["layers"]
    archive = gzip.decompress(blob(layer, ["application/vnd.oci.image.layer.v1.tar+gzip"]))
    assert config["rootfs"] == {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(archive).hexdigest()]}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mtime, member.uid, member.gid) == ("plugin.wasm", 0, 0, 0), member
        module = tar.extractfile(member).read()
else:
    assert variant == "oci", variant
    kinds = ["application/vnd.module.wasm.config.v1+json", "application/vnd.module.wasm.content.layer.v1+wasm"]
    json.loads(blob(manifest["config"], kinds[:1]))
    # Istio takes images of this variant with two layers.
    first, second = manifest["layers"]
    json.loads(blob(first, kinds[:1]))
    module = blob(second, kinds[1:])

assert {path.name for path in (root / "blobs" / "sha256").iterdir()} == seen
print(base64.b64encode(module).decode())
