"""Sentences as bags of words, with a collate function that yields offsets, as the text tutorial does."""

import torch
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(0)
generator = torch.Generator().manual_seed(1)
sentences = []
for _ in range(800):
    label = int(torch.randint(4, (), generator=generator))
    count = int(torch.randint(4, 12, (), generator=generator))
    topical = torch.randint(20, (count,), generator=generator) + 20 * label
    common = torch.randint(80, 120, (count,), generator=generator)
    sentences.append((label, torch.cat([topical, common])))


def collate_batch(batch):
    labels, texts, offsets = [], [], [0]
    for label, text in batch:
        labels.append(label)
        texts.append(text)
        offsets.append(text.size(0))
    return torch.tensor(labels), torch.cat(texts), torch.tensor(offsets[:-1]).cumsum(dim=0)


class TextClassificationModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(120, 16)
        self.fc = nn.Linear(16, 4)

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


model = TextClassificationModel()
criterion = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
dataloader = DataLoader(sentences, batch_size=16, shuffle=True, collate_fn=collate_batch)
for epoch in range(8):
    model.train()
    for label, text, offsets in dataloader:
        optimizer.zero_grad()
        predicted_label = model(text, offsets)
        loss = criterion(predicted_label, label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    print(epoch, loss.item())
