// Words of regrouping incidents, and what severities mean.
export const regroup = {
  regroup: {
    menu: 'Merge with others…',
    takeOut: 'Take out {{name}}…',
    merge: 'Merge into {{name}}',
    mergeHint: 'Alerts, actions, investigations and tags move here; the other incidents lead here from then on. For 30 days they can be taken out again.',
    mergeDo: 'Merge',
    others: 'Incidents to take in',
    numbers: 'One to five numbers.',
    unmerge: 'Take out {{name}}',
    unmergeHint: 'What came with it goes back. Alerts that joined later stay. The two are never merged again by themselves.',
    unmergeDo: 'Take out',
    move_one: 'Move {{count}} alert…',
    move_other: 'Move {{count}} alerts…',
    moveHint: 'They leave this incident. The two are never merged by themselves afterwards.',
    moveDo: 'Move',
    target: 'To the incident',
    targetHint: 'A number; without one a new incident is made.',
    one: 'Give one number.',
  },
  severityHelp: {
    high: 'Credential theft, human-operated ransomware, sensor tampering, behaviour of advanced attackers.',
    medium: 'Behaviour after a breach: unusual registry or persistence changes, suspicious execution.',
    low: 'Common malware, hack tools, exploration, log clearing.',
    informational: 'Not harmful, but worth knowing.',
  },
};
