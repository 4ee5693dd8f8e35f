//! `reproof user` and `reproof token`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user; the password is asked for, or is the first line of standard input
    Create {
        /// The name
        name: String,
        /// They may do everything
        #[arg(long)]
        admin: bool,
        /// Draw the password and print it
        #[arg(long)]
        draw: bool,
    },
    /// List users
    List,
    /// Set a user's password, which is asked for, or is the first line of standard input
    Password {
        /// Who
        name: String,
        /// Draw it and print it
        #[arg(long)]
        draw: bool,
    },
    /// Delete a user, with tokens and rights
    Delete {
        /// Who
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
    /// Let a user do everything
    Admin {
        /// Who
        name: String,
        /// No more
        #[arg(long)]
        not: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a user, which is printed this once
    Create {
        /// Whom it stands for
        user: String,
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// For how many days it holds; for good if not given
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// List tokens, without what is to be brought
    List {
        /// Whose; everybody's if not given
        user: Option<String>,
    },
    /// Revoke a token
    Revoke {
        /// Its id, as `list` shows it
        id: String,
    },
}
