-- What kind of problem a pool has, for programs, beside the sentence.

ALTER TABLE pool_state ADD COLUMN problem_code text NOT NULL DEFAULT '';  -- empty: none, or who reported it did not tell
