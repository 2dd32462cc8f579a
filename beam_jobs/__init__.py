"""The nightly run after training: prepare, score, audit, publish. Each is a Beam pipeline or a step after one."""
