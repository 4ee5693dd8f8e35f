//! Cuts a filter or an order into tokens.

use super::Operator;

/// A token, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// In characters, from 0.
    pub(super) position: usize,
    pub(super) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A run of characters without space, quotes and signs: a name, a number or a keyword.
    Word(String),
    /// A text in quotes, without them; with a backtick it can only be a name.
    Quoted {
        text: String,
        quote: char,
    },
    /// A name whose key stands in quotes: what is before the first dot, and the key.
    Dotted {
        entity: String,
        key: String,
    },
    Operator(Operator),
    Open,
    Close,
    Comma,
}

/// What cannot be cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TokenFault {
    pub(super) position: usize,
    pub(super) message: String,
}

impl TokenKind {
    /// The token as it may have been written.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Quoted { text, quote } => format!("{quote}{text}{quote}"),
            Self::Dotted { entity, key } => format!("{entity}.\"{key}\""),
            Self::Operator(operator) => operator.as_str().to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
        }
    }

    /// Whether this is a keyword, in any case.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

pub(super) fn cut(text: &str) -> Result<Vec<Token>, TokenFault> {
    let mut cutter = Cutter {
        characters: text.chars().collect(),
        position: 0,
    };
    let mut tokens = Vec::new();
    while let Some(token) = cutter.next_token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Cutter {
    characters: Vec<char>,
    position: usize,
}

impl Cutter {
    fn next_token(&mut self) -> Result<Option<Token>, TokenFault> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.position += 1;
        }
        let position = self.position;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let kind = match first {
            '(' => self.single(TokenKind::Open),
            ')' => self.single(TokenKind::Close),
            ',' => self.single(TokenKind::Comma),
            '\'' | '"' | '`' => TokenKind::Quoted {
                text: self.quoted(first)?,
                quote: first,
            },
            '=' | '!' | '<' | '>' => self.operator()?,
            ';' => {
                return Err(TokenFault {
                    position,
                    message: "`;` has no meaning here".to_owned(),
                });
            }
            _ => self.word()?,
        };
        Ok(Some(Token { position, kind }))
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.position).copied()
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.position += 1;
        kind
    }

    fn operator(&mut self) -> Result<TokenKind, TokenFault> {
        let position = self.position;
        while matches!(self.peek(), Some('=' | '!' | '<' | '>')) {
            self.position += 1;
        }
        let sign: String = self.characters[position..self.position].iter().collect();
        let known = [
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Greater,
            Operator::GreaterOrEqual,
        ];
        if let Some(operator) = known.into_iter().find(|known| known.as_str() == sign) {
            return Ok(TokenKind::Operator(operator));
        }
        let meant = match sign.as_str() {
            "==" => "; write `=`",
            "<>" | "!" => "; write `!=`",
            "=>" => "; write `>=`",
            "=<" => "; write `<=`",
            _ => "; there are =, !=, <, <=, > and >=",
        };
        Err(TokenFault {
            position,
            message: format!("`{sign}` is not a comparison{meant}"),
        })
    }

    /// A word; where a dot at its end is followed by quotes, the key in them belongs to it.
    fn word(&mut self) -> Result<TokenKind, TokenFault> {
        let start = self.position;
        while self.peek().is_some_and(is_of_word) {
            self.position += 1;
        }
        let word: String = self.characters[start..self.position].iter().collect();
        match (word.strip_suffix('.'), self.peek()) {
            (Some(entity), Some(quote @ ('"' | '`' | '\''))) if !entity.contains('.') => {
                Ok(TokenKind::Dotted {
                    entity: entity.to_owned(),
                    key: self.quoted(quote)?,
                })
            }
            _ => Ok(TokenKind::Word(word)),
        }
    }

    /// A text in quotes; the quote itself is written twice in it.
    fn quoted(&mut self, quote: char) -> Result<String, TokenFault> {
        let start = self.position;
        self.position += 1;
        let mut text = String::new();
        while let Some(character) = self.peek() {
            self.position += 1;
            if character != quote {
                text.push(character);
            } else if self.peek() == Some(quote) {
                text.push(quote);
                self.position += 1;
            } else {
                return Ok(text);
            }
        }
        Err(TokenFault {
            position: start,
            message: format!("the quote {quote} is not closed"),
        })
    }
}

fn is_of_word(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(
            character,
            '\'' | '"' | '`' | '=' | '!' | '<' | '>' | '(' | ')' | ',' | ';'
        )
}
