"""RabbitMQ and the embedded broker, behind one port."""
