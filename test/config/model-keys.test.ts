import assert from 'node:assert/strict';
import { testKeys } from './key-table.ts';
import { judgements, modelKeys } from './tables/models.ts';

testKeys(modelKeys, (it, bench) => {
  it('models that cannot be used are judged alike by the farm and by farm doctor', async () => {
    for (const { id, because, problems, doctor } of await judgements(bench())) {
      assert.match(problems, because, id);
      assert.ok(doctor.endsWith(problems), `${doctor}\n${problems}`);
    }
  });
  it('farm doctor tries the networks of a model whose pictures are still in a video', () => {
    assert.match(bench().doctor, /✗ model film-only .*rects\.json/);
  });
});
