//! Files of which only the path is kept.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Patterns of paths, built-in ones and the user's. Case does not matter.
#[derive(Clone, Debug)]
pub(super) struct FilePatterns {
    own: Vec<Pattern>,
    built_in: Vec<Pattern>,
    public: Vec<Pattern>,
}

impl FilePatterns {
    pub(super) fn new(own: &[String]) -> Self {
        let parse = |patterns: &[&str]| patterns.iter().map(|text| Pattern::parse(text)).collect();
        Self {
            own: own.iter().map(|text| Pattern::parse(text)).collect(),
            built_in: parse(SECRET),
            public: parse(PUBLIC),
        }
    }

    pub(super) fn cover(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes().to_ascii_lowercase();
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.covers(&path));
        any(&self.own) || any(&self.built_in) && !any(&self.public)
    }
}

/// Files that hold secrets wherever they stand.
const SECRET: &[&str] = &[
    // settings of programs
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".flaskenv",
    "credentials.json",
    "*-credentials.json",
    "*_credentials.json",
    "credentials.yaml",
    "credentials.yml",
    "credentials.toml",
    "credentials.ini",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "secrets.json",
    ".secrets.*",
    // keys
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".ssh/",
    ".gnupg/",
    // clients
    ".netrc",
    "_netrc",
    ".git-credentials",
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".htpasswd",
    ".boto",
    ".s3cfg",
    ".vault-token",
    ".databrickscfg",
    ".dockercfg",
    ".docker/config.json",
    ".kube/config",
    ".aws/credentials",
    ".aws/cli/cache/",
    ".aws/sso/cache/",
    ".azure/",
    ".config/gcloud/",
    ".config/gh/hosts.yml",
    ".config/rclone/rclone.conf",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
    ".snowsql/config",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".terraform.d/credentials.tfrc.json",
    ".dvc/config.local",
    ".mlflow/credentials",
    ".kaggle/kaggle.json",
    "kaggle.json",
    ".huggingface/token",
    "huggingface/token",
    "huggingface/stored_tokens",
    ".wandb/credentials*",
    // the system
    "/etc/shadow*",
    "/etc/gshadow*",
    "/etc/ssl/private/",
];

/// Files that match one of those and are public by their nature: examples, and the certificates of authorities.
const PUBLIC: &[&str] = &[
    ".env.example",
    ".env.sample",
    ".env.template",
    "cacert.pem",
    "ca-bundle.pem",
    "roots.pem",
    "/etc/ssl/certs/",
    "/usr/share/ca-certificates/",
    "/etc/ssl/cert.pem",
    "/usr/lib/ssl/cert.pem",
];

#[derive(Clone, Debug)]
struct Pattern {
    tokens: Vec<Token>,
    /// How much of a path the pattern speaks of.
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Name,
    End,
    Whole,
}

#[derive(Clone, Copy, Debug)]
enum Token {
    One(u8),
    AnyOne,
    Any,
    AnyDeep,
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let text = text.strip_prefix("./").unwrap_or(text).to_ascii_lowercase();
        let place = match text.find('/') {
            None => Place::Name,
            Some(0) => Place::Whole,
            Some(_) => Place::End,
        };
        let mut tokens = tokens_of(text.as_bytes());
        if text.ends_with('/') {
            tokens.push(Token::AnyDeep);
        }
        Self { tokens, place }
    }

    fn covers(&self, path: &[u8]) -> bool {
        match self.place {
            Place::Whole => matches(&self.tokens, path),
            Place::Name => {
                let start = path
                    .iter()
                    .rposition(|&byte| byte == b'/')
                    .map_or(0, |at| at + 1);
                matches(&self.tokens, &path[start..])
            }
            Place::End => {
                let starts = path
                    .iter()
                    .enumerate()
                    .filter(|(_, byte)| **byte == b'/')
                    .map(|(at, _)| at + 1);
                std::iter::once(0)
                    .chain(starts)
                    .any(|start| matches(&self.tokens, &path[start..]))
            }
        }
    }
}

fn tokens_of(pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter().peekable();
    while let Some(&byte) = bytes.next() {
        tokens.push(match byte {
            b'*' if bytes.next_if(|next| **next == b'*').is_some() => Token::AnyDeep,
            b'*' => Token::Any,
            b'?' => Token::AnyOne,
            other => Token::One(other),
        });
    }
    tokens
}

/// *Cost*: the product of both lengths at worst, whatever the pattern; most are decided by their first or last byte.
fn matches(mut tokens: &[Token], mut text: &[u8]) -> bool {
    while let [Token::One(wanted), rest @ ..] = tokens {
        match text.split_first() {
            Some((byte, after)) if byte == wanted => (tokens, text) = (rest, after),
            _ => return false,
        }
    }
    while let [rest @ .., Token::One(wanted)] = tokens {
        match text.split_last() {
            Some((byte, before)) if byte == wanted => (tokens, text) = (rest, before),
            _ => return false,
        }
    }
    match tokens {
        [] => text.is_empty(),
        [Token::Any] => !text.contains(&b'/'),
        [Token::AnyDeep] => true,
        _ => matches_token_by_token(tokens, text),
    }
}

fn matches_token_by_token(tokens: &[Token], text: &[u8]) -> bool {
    // `can[at]`: the tokens so far cover `text[..at]`.
    let mut can = vec![false; text.len() + 1];
    can[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            let before = at
                .checked_sub(1)
                .map(|before| (can[before], next[before], text[before]));
            next[at] = match (token, before) {
                (Token::One(wanted), Some((true, _, byte))) => byte == *wanted,
                (Token::AnyOne, Some((true, _, byte))) => byte != b'/',
                (Token::Any, Some((_, true, byte))) if byte != b'/' => true,
                (Token::AnyDeep, Some((_, true, _))) => true,
                (Token::Any | Token::AnyDeep, _) => can[at],
                _ => false,
            };
        }
        can = next;
    }
    can[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_secrets_are_known_by_their_path() {
        let patterns = FilePatterns::new(&[]);
        let secret = [
            ".env",
            "/p/.env",
            "/p/.env.production",
            "/p/.ENV",
            "/p/prod.env",
            "/p/conf/local/credentials.yml",
            "/p/application_default_credentials.json",
            "/p/.secrets.toml",
            "server.pem",
            "/p/deep/tls.key",
            "/p/TLS.KEY",
            "/home/u/.ssh/id_rsa",
            "id_rsa.bak",
            "id_ed25519",
            "/home/u/.ssh/config",
            "/home/u/.ssh/keys/work",
            "/home/u/.netrc",
            "/home/u/.pgpass",
            "/home/u/.aws/credentials",
            "/home/u/.kaggle/kaggle.json",
            "/p/credentials.json",
            "/p/service-account-prod.json",
            "/home/u/.pypirc",
            "/home/u/.docker/config.json",
            "/home/u/.cache/huggingface/token",
            "/home/u/.huggingface/token",
            "/home/u/.config/gcloud/application_default_credentials.json",
            "/etc/shadow",
        ];
        for path in secret {
            assert!(
                patterns.cover(Path::new(path)),
                "{path} is not taken for a secret"
            );
        }
        let public = [
            ".env.example",
            "/p/environment.yml",
            "/p/prod.env.md",
            "/p/credentials.py",
            "/p/secrets.py",
            "/p/env",
            "/p/.env/lib/python3/site.py",
            "/p/key.py",
            "/p/tokenizer.json",
            "/p/config.json",
            "/p/keys.csv",
            "/p/x.pem.txt",
            "/v/site-packages/certifi/cacert.pem",
            "/etc/ssl/certs/ca-certificates.pem",
            "/home/u/.aws/config",
            "/p/docker/config.json",
            "/p/huggingface/tokens",
        ];
        for path in public {
            assert!(
                !patterns.cover(Path::new(path)),
                "{path} is taken for a secret"
            );
        }
    }

    #[test]
    fn the_users_patterns_count_and_nothing_is_public_against_them() {
        let own: Vec<String> = [
            "config/prod.*",
            "vault/",
            "/data/x",
            "*.env.example",
            "**/deep/*.x",
        ]
        .map(str::to_owned)
        .into();
        let patterns = FilePatterns::new(&own);
        let covered = [
            "/p/config/prod.yml",
            "config/prod.yml",
            "/p/vault/a/b",
            "/data/x",
            "/p/.env.example",
            "/p/deep/a.x",
        ];
        for path in covered {
            assert!(patterns.cover(Path::new(path)), "{path}");
        }
        for path in [
            "/p/config/x/prod.yml",
            "/p/myconfig/prod.yml",
            "/p/data/x",
            "/p/vault",
            "/p/deep/a/b.x",
        ] {
            assert!(!patterns.cover(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_text_is_matched_by_its_bytes() {
        use std::ffi::OsStr;
        let patterns = FilePatterns::new(&[]);
        assert!(patterns.cover(Path::new(OsStr::from_bytes(b"/\xff/\xfe.pem"))));
        assert!(!patterns.cover(Path::new(OsStr::from_bytes(b"/\xff/\xfe"))));
    }

    #[test]
    fn many_stars_stay_quick() {
        let patterns = FilePatterns::new(&["*a".repeat(100)]);
        assert!(!patterns.cover(Path::new(&"a".repeat(99))));
        assert!(patterns.cover(Path::new(&"a".repeat(200))));
    }
}
