#!/usr/bin/env python3
"""PyTorch and transformers on the checkpoints and pairs of `gpu checkpoint`, with TRL's batches.

    torch_reference.py hold --leave GIB --seconds N
    torch_reference.py dpo|score|product [MODEL PAIRS] [--batch 4,16] [--limit N] [--dtype f32|bf16]
                       [--lora RANK] [--device cuda]

`dpo`: the batches of TRL's DPO trainer (all chosen rows, then all rejected rows, right-padded; sums
of log-probabilities over responses; references computed before and not timed), AdamW, a loop in
place of TRL's trainer. bf16 is autocast over float32 weights, as TRL trains by default. An adapter is
one of RANK on queries and values, the base frozen. `score`: the same rows through the base without
gradients. `product`: matrix products. Prints a line of JSON for each. `hold` takes the card's memory but for
so many GiB for a while, so that another program finds it full.
"""
import argparse, json, statistics, time

import torch

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("task", choices=["dpo", "score", "product", "hold"])
p.add_argument("model", nargs="?")
p.add_argument("pairs", nargs="?")
p.add_argument("--batch", default="4")
p.add_argument("--limit", type=int, default=10**9)
p.add_argument("--max-length", type=int, default=512)
p.add_argument("--dtype", default="f32")
p.add_argument("--lora", type=int, default=0)
p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
p.add_argument("--leave", type=float, default=4.0)
p.add_argument("--seconds", type=float, default=60.0)
p.add_argument("--quick", action="store_true")
a = p.parse_args()
cuda = a.device == "cuda"


def wait():
    if cuda:
        torch.cuda.synchronize()


def tell(**found):
    peak = torch.cuda.max_memory_reserved() / 2**20 if cuda else float("nan")
    name = torch.cuda.get_device_name() if cuda else "cpu"
    print(json.dumps({"task": f"torch {a.task}", "torch": torch.__version__, "device": name, "dtype": a.dtype,
                      "lora": a.lora, **found, **({"peak_mib": peak} if cuda else {})}), flush=True)


def products():
    shapes = [(128,) * 3] if a.quick else [(4096,) * 3, (1024, 896, 4864), (1024, 4864, 896), (512, 896, 32768)]
    kinds = [("f32", torch.float32, False), ("f32 as tf32", torch.float32, True), ("f16", torch.float16, False), ("bf16", torch.bfloat16, False)]
    for m, k, n in shapes:
        for name, dtype, tf32 in kinds:
            torch.backends.cuda.matmul.allow_tf32 = tf32
            x, y = torch.randn(m, k, device=a.device, dtype=dtype), torch.randn(k, n, device=a.device, dtype=dtype)
            times = []
            for _ in range(16):
                wait()
                begun = time.perf_counter()
                for _ in range(10):
                    x @ y
                wait()
                times.append((time.perf_counter() - begun) / 10)
            tell(m=m, k=k, n=n, kind=name, tflops=2 * m * k * n / statistics.median(times[1:]) / 1e12)


def tokens(text):
    """The word tokenizer of `gpu checkpoint`: word wN is token N."""
    return [int(word[1:]) for word in text.split()]


def read_pairs():
    rows = []
    for line in open(a.pairs):
        row = json.loads(line)
        prompt = tokens(row["prompt"])
        rows.append([(len(prompt), (prompt + tokens(row[side]) + [0])[: a.max_length]) for side in ("chosen", "rejected")])
        if len(rows) == a.limit:
            break
    return [row for row in rows if row[0][0] < a.max_length]


def collate(pairs):
    rows = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
    longest = max(len(ids) for _, ids in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask, response = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, (start, row) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
        response[i, start : len(row)] = 1
    return [x.to(a.device) for x in (ids, mask, response)]


def log_probs(model, batch):
    ids, mask, response = batch
    with torch.autocast(a.device, torch.bfloat16, enabled=a.dtype == "bf16"):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    chosen = logits.gather(-1, ids[:, 1:, None]).squeeze(-1) - logits.logsumexp(-1)
    return (chosen * response[:, 1:]).sum(-1)


class Lora(torch.nn.Module):
    def __init__(self, base, rank):
        super().__init__()
        self.base, self.scale = base, 2.0
        self.down = torch.nn.Parameter(torch.randn(rank, base.in_features, device=a.device) / rank)
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank, device=a.device))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.down.T) @ self.up.T


def load():
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).to(a.device)
    model.train()
    if a.lora:
        model.requires_grad_(False)
        for module in list(model.modules()):
            for name in ("q_proj", "v_proj"):
                if isinstance(getattr(module, name, None), torch.nn.Linear):
                    setattr(module, name, Lora(getattr(module, name), a.lora))
    return model


def dpo(pairs, batch):
    model = load()
    optimiser = torch.optim.AdamW([x for x in model.parameters() if x.requires_grad], lr=1e-5, weight_decay=0.0, fused=cuda)
    batches = [collate(pairs[i : i + batch]) for i in range(0, len(pairs) - batch + 1, batch)]
    with torch.no_grad():
        references = [log_probs(model, b) for b in batches]
    seconds, losses = [], []
    for b, reference in zip(batches, references):
        wait()
        begun = time.perf_counter()
        delta = log_probs(model, b) - reference
        chosen, rejected = delta.chunk(2)
        loss = -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - begun)
    timed = seconds[1:] or seconds
    tell(batch=batch, pairs=len(pairs), pairs_per_second=batch * len(timed) / sum(timed), first_step_seconds=seconds[0],
         median_step_seconds=statistics.median(timed), first_loss=losses[0], last_loss=losses[-1])


@torch.no_grad()
def score(pairs, batch):
    model = load().base_model.eval()
    batches = [collate(pairs[i : i + batch]) for i in range(0, len(pairs), batch)]
    head = torch.full((model.config.hidden_size,), 0.01, device=a.device)
    for timed in (False, True):
        wait()
        begun = time.perf_counter()
        for ids, mask, _ in batches:
            with torch.autocast(a.device, torch.bfloat16, enabled=a.dtype == "bf16"):
                hidden = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            last = hidden[torch.arange(len(ids)), mask.sum(-1) - 1].float() @ head
            last.cpu()
        if timed:
            tell(batch=batch, pairs=len(pairs), pairs_per_second=len(pairs) / (time.perf_counter() - begun))


def hold():
    held, chunk = [], 2**28
    while torch.cuda.mem_get_info()[0] > a.leave * 2**30 + chunk:
        held.append(torch.empty(chunk, dtype=torch.uint8, device=a.device))
    tell(held_mib=len(held) * chunk / 2**20, free_mib=torch.cuda.mem_get_info()[0] / 2**20)
    time.sleep(a.seconds)


if a.task == "product":
    products()
elif a.task == "hold":
    hold()
else:
    pairs = read_pairs()
    for batch in map(int, a.batch.split(",")):
        {"dpo": dpo, "score": score}[a.task](pairs, batch)
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
