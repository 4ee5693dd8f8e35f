-- Which runs have a value, out of the index alone: one on an expression does not serve for that. Long values stand beside
-- it, since an entry cannot be long.
CREATE INDEX param_by_short_value ON param (key, value, run) WHERE char_length(value) < 256;
CREATE INDEX param_of_long_value ON param (key) WHERE char_length(value) >= 256;
CREATE INDEX tag_by_short_value ON tag (key, value, run) WHERE char_length(value) < 256;
CREATE INDEX tag_of_long_value ON tag (key) WHERE char_length(value) >= 256;
