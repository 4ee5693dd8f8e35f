-- As the chunks: to try to compress a block takes longer than to write it, and comes to nothing.
ALTER TABLE metric_block ALTER COLUMN encoded SET STORAGE EXTERNAL;
