//! Tokens of the admin listener beside each other.

use super::*;

#[test]
fn a_token_for_less_without_one_for_everything() {
    let (all, read) = (file("all", b"s3cret\n"), file("read", b"re4d\n"));
    for flag in ["--admin-read-token-file", "--admin-publish-token-file"] {
        let refused = check(&[flag, &read]).unwrap_err();
        assert_eq!(
            (refused.flag, refused.value.as_str()),
            (flag, read.as_str())
        );
        assert!(refused.allowed.contains("--admin-token-file"), "{refused}");
        // On any other address it is a mistake of that, too.
        assert!(check_all(&["--admin", "0.0.0.0:9464", flag, &read]).is_err());
        let refused = check(&["--admin-token-file", &all, flag, &all]).unwrap_err();
        assert_eq!(refused.flag, flag);
        assert!(refused.allowed.contains("another role"), "{refused}");
    }
    let config = check(&["--admin-token-file", &all, "--admin-read-token-file", &read]).unwrap();
    assert_eq!(&*config.node.admin.read_token.unwrap().expose(), "re4d");
    assert!(config.node.admin.publish_token.is_none());
    // Only what is known to be wrong is said.
    let refused = check(&[
        "--admin-token-file",
        "/nowhere",
        "--admin-read-token-file",
        &read,
    ]);
    assert_eq!(refused.unwrap_err().flag, "--admin-token-file");
}
