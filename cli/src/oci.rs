//! An OCI image layout with one module, the same bytes for the same module.
//!
//! Sources: the OCI image specification (`image-layout.md`, `manifest.md`), and the Wasm image
//! specification that Istio and Envoy Gateway implement (`solo-io/wasm`, `spec/spec.md` and
//! `spec/spec-compat.md`).

use crate::output::{Result, write};
use clap::ValueEnum;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// How an image contains the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// A layer that is an archive with `plugin.wasm`. Every registry and container tool takes it.
    Compat,
    /// A layer that is the module itself, of a media type for modules.
    Artifact,
}

/// The name of the module in the archive, which the specification fixes.
const PLUGIN: &str = "plugin.wasm";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The digest of bytes, as `sha256:…`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The files of an image, by path in its directory.
pub(crate) struct Image {
    files: BTreeMap<String, Vec<u8>>,
    /// The digest of the manifest, which names the image.
    pub(crate) digest: String,
}

impl Image {
    /// Makes the image of a module. `tag` is its name in the index, and `annotations` are more
    /// annotations of its manifest.
    pub(crate) fn new(
        module: &[u8],
        name: &str,
        tag: Option<&str>,
        variant: Variant,
        annotations: &[(&str, String)],
    ) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut blob = |media_type: &str, bytes: Vec<u8>| {
            let digest = digest(&bytes);
            let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
            files.insert(format!("blobs/{}", digest.replace(':', "/")), bytes);
            descriptor
        };
        let (config, layers) = match variant {
            Variant::Compat => {
                let archive = archive(module)?;
                let config = json!({
                    "architecture": "wasm",
                    "os": "wasi",
                    "config": {},
                    "rootfs": { "type": "layers", "diff_ids": [digest(&archive)] },
                });
                let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
                std::io::Write::write_all(&mut gzip, &archive)?;
                let layer = blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.finish()?);
                (blob("application/vnd.oci.image.config.v1+json", text(&config)), vec![layer])
            }
            Variant::Artifact => {
                // Istio requires two layers: the runtime's configuration, and the module.
                let runtime = json!({ "type": "envoy_proxy", "abiVersions": ["v0-2-1"], "config": {} });
                let config = blob("application/vnd.module.wasm.config.v1+json", text(&json!({ "name": name })));
                let first = blob("application/vnd.module.wasm.config.v1+json", text(&runtime));
                (config, vec![first, blob("application/vnd.module.wasm.content.layer.v1+wasm", module.to_vec())])
            }
        };
        let variant = match variant {
            Variant::Compat => "compat",
            Variant::Artifact => "oci",
        };
        let mut all = BTreeMap::from([
            ("module.wasm.image/variant", variant.to_owned()),
            ("org.opencontainers.image.title", name.to_owned()),
        ]);
        all.extend(annotations.iter().cloned());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": all,
        });
        let mut entry = blob(MANIFEST, text(&manifest));
        let digest = entry.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (Some(entry), Some(tag)) = (entry.as_object_mut(), tag) {
            entry.insert("annotations".into(), json!({ "org.opencontainers.image.ref.name": tag }));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        files.insert("index.json".into(), text(&index));
        files.insert("oci-layout".into(), text(&json!({ "imageLayoutVersion": "1.0.0" })));
        Ok(Self { files, digest })
    }

    /// Writes the files. Blobs of an earlier image are removed.
    pub(crate) fn write(&self, directory: &Path) -> Result {
        if directory.join("oci-layout").is_file() {
            std::fs::remove_dir_all(directory)?;
        }
        for (path, bytes) in &self.files {
            let path = directory.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            write(&path, bytes)?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// An archive with the module, without times and owners.
fn archive(module: &[u8]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(module.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    builder.append_data(&mut header, PLUGIN, module)?;
    Ok(builder.into_inner()?)
}
