#!/usr/bin/env python

# In[1]:


import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

torch.manual_seed(42)


# In[2]:


X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
scaler, target_scaler = StandardScaler(), StandardScaler()
X_train = torch.FloatTensor(scaler.fit_transform(X_train))
X_test = torch.FloatTensor(scaler.transform(X_test))
y_train = torch.FloatTensor(target_scaler.fit_transform(y_train.reshape(-1, 1)))
y_test = torch.FloatTensor(target_scaler.transform(y_test.reshape(-1, 1)))


# In[3]:


model = nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


# In[4]:


losses = []
for epoch in range(60):
    y_pred = model(X_train)
    loss = loss_fn(y_pred, y_train)
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0:
        with torch.no_grad():
            test_loss = loss_fn(model(X_test), y_test)
        print(epoch, losses[-1], test_loss.item())


# In[5]:


print(losses[-1])
