//! Names that say that what follows is a secret.

/// Last words of a name that make it one of a secret.
const SECRET_WORDS: &[&str] = &[
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "passwort",
    "pwd",
    "secret",
    "secrets",
    "token",
];

/// Words that, before `key`, make it a secret one.
const SECRET_KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "consumer",
    "deploy",
    "encryption",
    "host",
    "license",
    "master",
    "private",
    "secret",
    "service",
    "shared",
    "signing",
    "ssh",
    "storage",
    "subscription",
    "write",
];

/// Services whose keys are called after them: `--wandb-key`, `AZURE_KEY`.
const SERVICES: &[&str] = &[
    "anthropic",
    "aws",
    "azure",
    "clearml",
    "cohere",
    "comet",
    "dagshub",
    "databricks",
    "datadog",
    "gcp",
    "gemini",
    "github",
    "gitlab",
    "google",
    "groq",
    "hf",
    "huggingface",
    "kaggle",
    "langchain",
    "langsmith",
    "mistral",
    "neptune",
    "openai",
    "pinecone",
    "replicate",
    "sentry",
    "snowflake",
    "stripe",
    "together",
    "wandb",
];

/// Words that, before `token`, make it one of a text and not of a door.
const TEXT_TOKENS: &[&str] = &[
    "bos", "cls", "end", "eos", "image", "mask", "new", "next", "pad", "per", "sep", "special",
    "start", "stop", "text", "unk", "unknown",
];

/// Words that, before `pass`, make it a password.
const USERS: &[&str] = &[
    "admin", "basic", "db", "ftp", "http", "imap", "login", "mail", "mongo", "mysql", "pg",
    "proxy", "redis", "root", "smtp", "ssh", "user",
];

/// Endings of names that are written without a break between the words.
const SECRET_ENDINGS: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "apitoken",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "credentials",
    "idtoken",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "refreshtoken",
    "secretkey",
    "sessiontoken",
    "webhook",
];

/// Tells whether a name (of a flag, a variable, a field) is that of a secret: `--db-password`, `apiKey`, `TOKEN`.
///
/// It is decided by the last words, so that `--token-count` and `--password-file` are not.
pub(super) fn is_secret(name: &str) -> bool {
    let words = words_of(name);
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let previous = before.last().map(String::as_str);
    let joined = words.concat();
    if SECRET_ENDINGS.iter().any(|ending| joined.ends_with(ending)) {
        return true;
    }
    match last.as_str() {
        "token" => previous.is_none_or(|word| !TEXT_TOKENS.contains(&word)),
        "key" => {
            previous.is_some_and(|word| SECRET_KEYS.contains(&word) || SERVICES.contains(&word))
        }
        "pass" => previous.is_none_or(|word| USERS.contains(&word)),
        word => SECRET_WORDS.contains(&word),
    }
}

/// Tells whether a query parameter of a URL is a secret: those above, and those that sign a URL.
pub(super) fn is_secret_in_query(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let signs = [
        "sig",
        "signature",
        "key",
        "code",
        "x-amz-credential",
        "x-amz-signature",
        "x-goog-signature",
    ];
    signs.contains(&lower.as_str()) || is_secret(name)
}

/// Splits at `-`, `_`, `.` and where a capital follows a small letter; digits at the end are left out.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for character in name.chars() {
        let is_break = !character.is_alphanumeric() || character.is_uppercase() && was_small;
        if is_break {
            words.push(String::new());
        }
        was_small = character.is_lowercase() || character.is_ascii_digit();
        if character.is_alphanumeric() {
            let word = words.last_mut().expect("there is one from the start");
            word.extend(character.to_lowercase());
        }
    }
    let without_digits = words.into_iter().map(|word| {
        word.trim_end_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    });
    without_digits.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_those_of_machine_learning() {
        let secret = [
            "password",
            "--password",
            "DB_PASSWORD",
            "dbPassword",
            "pgpassword",
            "passwd",
            "pwd",
            "pass",
            "smtp_pass",
            "token",
            "auth-token",
            "hf_token",
            "GITHUB_TOKEN",
            "accessToken",
            "api_key",
            "api-key",
            "apikey",
            "apiKey",
            "WANDB_API_KEY",
            "aws_secret_access_key",
            "secret",
            "client_secret",
            "secret2",
            "private_key",
            "authorization",
            "Authorization",
            "Cookie",
            "credentials",
            "AccountKey",
            "ssh-key",
            "openaikey_apikey",
        ];
        for name in secret {
            assert!(is_secret(name), "{name} is not taken for a secret");
        }
        let harmless = [
            "",
            "lr",
            "max_tokens",
            "num-tokens",
            "tokenizer",
            "token_count",
            "token-limit",
            "pad_token",
            "eos_token",
            "unk_token",
            "pad_token_id",
            "key",
            "key_column",
            "keys",
            "sort_key",
            "primary_key",
            "first_pass",
            "n_passes",
            "passes",
            "password_file",
            "secret_path",
            "author",
            "authors",
            "monkey",
            "compass",
            "bypass",
            "keyboard",
            "auth_type",
            "secretary",
            "batch_size",
            "next_token",
        ];
        for name in harmless {
            assert!(!is_secret(name), "{name} is taken for a secret");
        }
    }
}
