"""The image does its work with everything taken away from it that can be, and behaves as process 1 should."""

from __future__ import annotations

import signal

from tests.image.engine import docker
from tests.image.system import SECRET, definitions
from tests.tools.waiting import until


async def test_records_move_both_ways_with_a_read_only_root_no_capability_and_no_temporary_folder(system):
    halo = await system.halo("--tickets", "20")
    system.write(definitions())
    worker = system.worker()
    await worker.ready()
    async with system.other() as other:
        sent = {f"SN-{number}" for number in range(50)}
        for serial in sent:
            await other.send({"serial": serial})
        letters = await other.take_all("events", 20)

        async def created():
            return len(await halo.serials()) >= 50

        await until(created)
    assert {letter.body["id"] for letter in letters} == set(range(1, 21))
    serials = await halo.serials()
    assert set(serials) == sent
    assert set(serials.values()) == {1}
    assert worker.inspect(".HostConfig.ReadonlyRootfs")
    assert docker("exec", worker.name, "python", "-c", "print(open('/proc/1/status').read())").count("CapEff:\t0000000000000000") == 1


async def test_two_replicas_are_healthy_by_the_image_s_own_check(system):
    await system.halo()
    system.write(definitions())
    first, second = system.worker(), system.worker()
    await first.healthy()
    await second.healthy()
    assert first.inspect(".Config.Healthcheck.Test")[0] == "CMD", "no shell is needed"


async def test_sigterm_to_process_1_lets_the_create_in_hand_finish_and_ends_with_0(system):
    halo = await system.halo()
    await halo.call("POST", "faults", {"does": "delay", "method": "POST", "path": "/Asset", "seconds": 3})
    system.write(definitions())
    worker = system.worker()
    await worker.ready()
    async with system.other() as other:
        await other.send({"serial": "in-hand"})

        async def arrived():
            return (await halo.journal("POST", "/Asset"))["received"]

        await until(arrived)
        code, seconds = await worker.stop()
        assert code == 0
        assert seconds < 25, "it ended because it was done, not because the time was over"
        assert await halo.serials() == {"in-hand": 1}
        assert await other.depth("assets") == 0, "what was finished was acknowledged"
    assert worker.log("worker.stopped", drained=True)


async def test_it_can_be_stopped_while_it_still_loads(system):
    system.write(definitions())
    worker = system.worker()

    async def python_runs():  # until Python itself has come up, nothing in the container could listen to a signal
        status = dict(line.split(":\t", 1) for line in docker("exec", worker.name, "cat", "/proc/1/status").splitlines())
        return status["Name"] == "halo-worker" and int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1  # not runc, which it was a moment before

    await until(python_runs)
    code, _ = await worker.stop()
    assert code in {0, 143}, f"137 is the engine's patience at its end:\n{worker.text()[-3000:]}"


async def test_with_an_init_process_it_can_be_stopped_the_moment_it_was_started(system):
    system.write(definitions())
    for _ in range(3):
        code, _ = await system.worker("--init").stop()
        assert code in {0, 143}


async def test_a_wrong_secret_leaves_it_running_and_unready_until_the_file_has_the_right_one(system):
    halo = await system.halo()
    system.write(definitions(), secret="yesterday's")
    worker = system.worker("--restart", "on-failure")
    told = await worker.readiness(503)
    await worker.healthy()

    async def refused():
        return [call for call in (await halo.journal("POST", "/auth/token"))["tokens"] if call["status"] != 200]

    await until(refused)
    told = await worker.readiness(503)
    assert "yesterday" not in worker.text()
    assert "token" in str(told), told
    assert (worker.inspect(".RestartCount"), worker.inspect(".State.Running")) == (0, True)

    (system.folder / "secrets" / "halo_secret").write_text(SECRET)
    await worker.ready()
    assert worker.inspect(".RestartCount") == 0
    assert (await worker.stop())[0] == 0


async def test_a_wrong_configuration_ends_it_with_2_and_a_sentence(system):
    system.write(definitions(entity="Assett"))
    worker = system.worker()

    async def ended():
        return not worker.inspect(".State.Running")

    await until(ended)
    assert worker.inspect(".State.ExitCode") == 2
    assert "did you mean" in worker.text()
