//! See `docs/crates.md`.

proxy_filter_crates::module!(|input| {
    use rsa::{BoxedUint, Pkcs1v15Sign, PublicKey};
    use sha2::{Digest, Sha256};
    let number = || BoxedUint::from_be_slice_vartime(input);
    PublicKey::new_with_size_limits(number(), number(), 2048..=4096)
        .is_ok_and(|key| key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(input), input).is_ok())
});
