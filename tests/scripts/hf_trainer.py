"""Hugging Face's Trainer with a tiny BERT of random weights."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
set_seed(0)


class Reviews(Dataset):
    def __init__(self, size):
        generator = torch.Generator().manual_seed(size)
        self.labels = torch.randint(2, (size,), generator=generator)
        self.tokens = torch.randint(20, 60, (size, 12), generator=generator)
        for row, label in enumerate(self.labels.tolist()):
            self.tokens[row, 3:7] = torch.randint(5, (4,), generator=generator) + 5 + 5 * label

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {
            "input_ids": self.tokens[i],
            "attention_mask": torch.ones(12, dtype=torch.long),
            "labels": self.labels[i],
        }


config = BertConfig(
    vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=16, num_labels=2,
)  # fmt: skip
model = BertForSequenceClassification(config)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder, num_train_epochs=4, per_device_train_batch_size=16, learning_rate=2e-3, logging_steps=10,
        save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, seed=0,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=Reviews(320), eval_dataset=Reviews(100))
    trainer.train()
    for entry in trainer.state.log_history[:-1]:
        print(entry["step"], entry["loss"])
    print(trainer.evaluate()["eval_loss"])
