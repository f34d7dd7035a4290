#!/usr/bin/env python3
"""Score pairs with transformers' sequence classifier: both sides of a batch of pairs, padded on the
right, in one forward pass. Prints one line of JSON.

    score_reference.py MODEL FILE PAIRS BATCH
"""
import gzip, json, resource, sys, time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model_path, file, count, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(model_path)
model = AutoModelForSequenceClassification.from_pretrained(model_path, num_labels=1, dtype=torch.float32).eval()
model.config.pad_token_id = tokenizer.pad_token_id
model.config.use_cache = False
with gzip.open(file, "rt", encoding="utf-8") as lines:
    rows = [json.loads(line) for line in lines]
pairs, seconds, done = [], 0.0, 0
for row in rows:
    cut = row["chosen"].rfind("\n\nAssistant:") + len("\n\nAssistant:")
    if row["rejected"][:cut] == row["chosen"][:cut]:
        pairs.append([row[side] + tokenizer.eos_token for side in ("chosen", "rejected")])
    if len(pairs) == count:
        break
with torch.inference_mode():
    for start in range(0, len(pairs), batch):
        part = pairs[start : start + batch]
        texts = [pair[0] for pair in part] + [pair[1] for pair in part]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=512)
        begun = time.perf_counter()
        model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        # As Confide's: the first batch, which also pays for threads and pages, is left out.
        if start:
            seconds += time.perf_counter() - begun
            done += len(part)
print(json.dumps({"pairs": len(pairs), "pairs_per_second": done / seconds,
                  "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
