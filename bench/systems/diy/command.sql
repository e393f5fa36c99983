\set stream random(0, :streams / 16 - 1) * 16 + :client_id + 1
SELECT diy_command('order-' || :stream, :data, :metadata);
