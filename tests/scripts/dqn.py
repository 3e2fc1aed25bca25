"""Deep Q-learning on a corridor of eight cells, with a replay buffer and a target network."""

import random
from collections import deque

import numpy as np
import torch
from torch import nn

random.seed(0)
np.random.seed(0)
torch.manual_seed(0)


class Corridor:
    def reset(self):
        self.place = 0
        return self.observe()

    def observe(self):
        return np.eye(8, dtype=np.float32)[self.place]

    def step(self, action):
        self.place = max(0, self.place + (1 if action == 1 else -1))
        done = self.place == 7
        return self.observe(), 1.0 if done else -0.01, done


def network():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))


policy, target = network(), network()
target.load_state_dict(policy.state_dict())
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
memory = deque(maxlen=2000)
env = Corridor()
state, total = env.reset(), 0.0
for step in range(600):
    epsilon = max(0.1, 1 - step / 300)
    if random.random() < epsilon:
        action = random.randrange(2)
    else:
        with torch.no_grad():
            action = policy(torch.from_numpy(state)[None]).argmax(1).item()
    following, reward, done = env.step(action)
    memory.append((state, action, reward, following, done))
    state = env.reset() if done else following
    total += reward
    if len(memory) < 64:
        continue
    states, actions, rewards, nexts, dones = zip(*random.sample(memory, 32), strict=True)
    states, nexts = torch.from_numpy(np.stack(states)), torch.from_numpy(np.stack(nexts))
    actions, rewards = torch.tensor(actions), torch.tensor(rewards)
    alive = 1 - torch.tensor(dones, dtype=torch.float32)
    with torch.no_grad():
        expected = rewards + 0.95 * alive * target(nexts).max(1).values
    values = policy(states).gather(1, actions[:, None]).squeeze(1)
    loss = nn.functional.smooth_l1_loss(values, expected)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        target.load_state_dict(policy.state_dict())
        print(step, loss.item(), total)
