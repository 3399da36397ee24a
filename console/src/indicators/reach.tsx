// Which devices have an indicator in force.
import { useGet } from '../api/queries';
import type { Indicator, IndicatorReach } from '../api/types';
import { useT } from '../i18n';
import { shown, to, visible } from '../lib/entity';
import { Link } from '../lib/router';
import { Chip } from '../ui/chips';
import { Dialog } from '../ui/dialog';
import { Loaded } from '../ui/states';
import { Effects } from './why';

const STATE_TONES = { inForce: 'ok', notYet: 'medium', cannot: 'high' } as const;

export function Reach({ indicator, onClose }: { indicator: Indicator; onClose: () => void }) {
  const { t, text } = useT();
  const reach = useGet<IndicatorReach>(`/indicators/${indicator.id}/devices`, {}, { poll: 2_000 });
  return (
    <Dialog open wide onClose={onClose} title={t('indicator.devices')} description={shown(indicator.spec.kind, indicator.spec.value)}>
      <Loaded query={reach}>
        {(answer) => (
          <div className="column" data-test="reach">
            <p className="strong">{t('indicator.reach', { inForce: answer.in_force, notYet: answer.not_yet, cannot: answer.cannot, outOfScope: answer.out_of_scope })}</p>
            <Effects effects={answer.effects} />
            {answer.devices.length ? (
              <div className="table-scroll" style={{ maxHeight: '300px' }}>
                <table className="plain">
                  <thead><tr><th>{t('entity.device')}</th><th>{t('columns.state')}</th><th>{t('indicator.whyNot')}</th></tr></thead>
                  <tbody>
                    {answer.devices.map((one) => (
                      <tr key={one.id}>
                        <td><Link to={to.device(one.id)}>{visible(one.name)}</Link></td>
                        <td><Chip tone={STATE_TONES[one.state]}>{t(`enforcement.${one.state}`)}</Chip></td>
                        <td>{one.reason ? text(one.reason) : one.state === 'notYet' && !one.online ? t('indicator.away') : ''}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            ) : null}
          </div>
        )}
      </Loaded>
    </Dialog>
  );
}
