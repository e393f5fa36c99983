// The state of an order's stream: how many, and what they cost.

export const initialState = () => ({ orders: 0, total: 0 });
export const evolve = ({ orders, total }, { data }) => ({ orders: orders + 1, total: total + data.total });
